import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import express, { type Request, type Response } from 'express';
import { expect, test } from 'vitest';
import { defaultLimits } from '../limits.js';
import { enter, LOCAL, type Service } from '../service.js';
import { readBytes } from './bodies.js';
import { HeldBodies } from './held-bodies.js';
import { Pace } from './pace.js';

// Nobody is left to be told of these: what is thrown ends the work.
test('a body whose client goes away in the middle of it is refused, and no work begins for it', async () => {
  const app = express();
  const asked = new Promise<[Request, Response]>((resolve) => {
    app.post('/', (request, response) => resolve([request, response]));
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\nabc',
  );
  const [request, response] = await asked;
  response.locals['caller'] = { namespace: LOCAL };
  const held = new HeldBodies({ bytes: 100, ownerBytes: 100 });
  const read = readBytes(request, response, { limits: defaultLimits, held, pace: new Pace() });
  socket.destroy();
  await expect(read).rejects.toThrow('body: expected a whole body, got a part of one');
  expect(() => enter({} as Service, response)).toThrow('the client went away');
  server.close();
});
