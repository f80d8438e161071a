import { onceLoaded } from './once-loaded.js';

// The script of the thread that `openInWorker` makes.

onceLoaded(async () => (await import('./worker-host.js')).answerCalls());
