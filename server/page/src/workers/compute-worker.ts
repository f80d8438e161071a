import { onceLoaded } from '@whet/runtime/web';

onceLoaded(() => import('./compute.js'));
