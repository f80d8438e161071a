#!/usr/bin/env node
// Committed, so that npm links the command before the first build.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('whet: not built yet; run `npm run build` first\n');
  process.exitCode = 1;
}
