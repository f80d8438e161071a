import { openInWorker } from '@whet/runtime/web-worker';

globalThis.openInWorker = openInWorker;
