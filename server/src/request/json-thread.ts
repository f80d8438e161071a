import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { type JsonSource, parseJson } from './parse-json.js';

// The body of a thread that parses long bodies, so that the thread that answers requests never waits for one.

const port = parentPort;
assert(port);
port.on('message', (source: JsonSource) => {
  const result = parseJson(source);
  const payloads = result.kind === 'parsed' ? [...result.payloads.values()] : [];
  const buffers = payloads.flatMap((payload) => {
    if (payload.kind === 'bytes') return [payload.bytes.buffer];
    return payload.kind === 'numbers' && payload.values ? [payload.values.buffer] : [];
  });
  // Images of one body share its memory.
  port.postMessage(result, [...new Set(buffers)]);
});
