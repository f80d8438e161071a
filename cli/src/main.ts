import { runWhet } from './run.js';

await runWhet(process.argv.slice(2));
