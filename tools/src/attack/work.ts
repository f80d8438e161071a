import { promisify } from 'node:util';
import { crc32, deflateSync, gzip as gzipWith } from 'node:zlib';
import { WhetClient } from '@whet/runtime/client';
import sharp from 'sharp';
import type { Attack } from './attack.js';
import { send } from './send.js';
import type { AttackTarget } from './target.js';

// What costs the service much more than whoever sends it.

const gzip = promisify(gzipWith);
const MIB = 2 ** 20;
const JSON_TYPE = { 'Content-Type': 'application/json' };
const BOUNDARY = 'multipart/form-data; boundary=x';

const predict = (target: AttackTarget) => `/predict?profile=${target.profile}`;

let picture: Promise<Buffer> | undefined;

/** A lossless WebP of 16 megapixels and some hundred bytes. */
async function emptyPicture(): Promise<string> {
  picture ??= sharp({ create: { width: 4000, height: 4000, channels: 3, background: '#888' } })
    .webp({ lossless: true })
    .toBuffer();
  return (await picture).toString('base64');
}

const jsonOf = (profile: string, images: readonly string[]) => Buffer.from(JSON.stringify({ profile, images }));

/** A form with a profile and one file. */
function formOf(profile: string, file: Uint8Array): Buffer {
  const text = `--x\r\nContent-Disposition: form-data; name="profile"\r\n\r\n${profile}\r\n`;
  const head = '--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n';
  return Buffer.concat([Buffer.from(text + head), file, Buffer.from('\r\n--x--\r\n')]);
}

/** A PNG file of `side` x `side` pixels, and chunks between its header and its end. */
function pngOf(side: number, chunks: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  // Grey values of 8 bits.
  header[8] = 8;
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, pngChunk('IHDR', header), ...chunks, pngChunk('IEND')]);
}

function pngChunk(type: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/** A PNG file of many chunks without content. */
function chunkedPng(bytes: number): Buffer {
  const empty = pngChunk('teXt');
  return pngOf(12, [Buffer.alloc(Math.floor(bytes / empty.length) * empty.length, empty)]);
}

/** A PNG file of one pixel. */
const pixelPng = (chunks: readonly Uint8Array[] = []) =>
  pngOf(1, [...chunks, pngChunk('IDAT', deflateSync(Buffer.alloc(2)))]);

/** Bodies of 32 MB that compress to some kilobytes. */
function packed(
  name: string,
  what: string,
  fill: string,
  begin: string,
  end: string,
  statuses: readonly number[],
): Attack {
  return {
    name,
    what: `32 MB of ${what}, compressed`,
    clients: 4,
    statuses: [429, ...statuses],
    async prepare(target) {
      const start = begin.replace('PROFILE', target.profile);
      const middle = Buffer.alloc(Math.floor((32 * MIB - start.length - end.length) / fill.length) * fill.length, fill);
      const body = await gzip(Buffer.concat([Buffer.from(start), middle, Buffer.from(end)]));
      const headers = { ...JSON_TYPE, 'Content-Encoding': 'gzip' };
      return (signal) => send(target, { path: '/predict', headers, body }, signal);
    },
  };
}

function pictures(name: string, count: number, statuses: readonly number[]): Attack {
  return {
    name,
    what: `${count} lossless WebP files of 16 megapixels and some hundred bytes`,
    clients: 4,
    statuses,
    async prepare(target) {
      const body = jsonOf(target.profile, new Array<string>(count).fill(await emptyPicture()));
      return (signal) => send(target, { path: '/predict', headers: JSON_TYPE, body }, signal);
    },
  };
}

/** The most images of which so many values fit into a body, at most 1000, all of them 0. */
function manyImages({ imageLength }: AttackTarget): Buffer {
  const image = imageLength * 4;
  return Buffer.alloc(Math.min(1000, Math.floor((30 * MIB) / image)) * image);
}

/** Pieces of nothing, as many megabytes as are taken. */
function* pour(megabytes: number): Generator<Uint8Array> {
  const piece = Buffer.alloc(MIB, 0x20);
  for (let i = 0; i < megabytes; i++) yield piece;
}

/** A body that comes and never ends. */
async function* hold(bytes: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

export const workAttacks: readonly Attack[] = [
  pictures('pictures', 36, [413, 429]),
  pictures('fewer-pictures', 12, [200, 429, 503]),
  packed('numbers', 'numbers', '0,0,', '{"images":[{"tensor":[', '0]}]}', [413]),
  packed('brackets', 'brackets', '[', '', '', [400, 413]),
  packed('names', 'names', '"a":0,', '{', '"a":0}', [413]),
  packed('digits', 'digits', '1', '{"tensor":[', ']}', [400, 404, 422]),
  packed('spaces', 'spaces', ' ', '{', '}', [400]),
  packed('base64', 'base64 that is no image', 'AAAA', '{"profile":"PROFILE","image":"', '"}', [415]),
  packed('escapes', 'escapes that are no base64', '\\u0041', '{"profile":"PROFILE","image":"', '!"}', [422]),
  packed('label', 'a name of a class', 'x', '{"examples":[{"label":"', '"}]}', [422]),
  {
    name: 'png-chunks',
    what: 'a PNG file of 31 MB of empty chunks',
    clients: 4,
    statuses: [422, 429],
    async prepare(target) {
      const body = formOf(target.profile, chunkedPng(31 * MIB));
      const headers = { 'Content-Type': BOUNDARY };
      return (signal) => send(target, { path: '/predict', headers, body }, signal);
    },
  },
  {
    name: 'png-texts',
    what: 'a PNG file of one pixel and 48 kB, whose texts are 49 MB',
    clients: 4,
    statuses: [200, 429],
    async prepare(target) {
      const text = Buffer.concat([Buffer.from('a\0\0', 'latin1'), deflateSync(Buffer.alloc(7e6, 'A'), { level: 9 })]);
      const body = formOf(target.profile, pixelPng(new Array<Buffer>(7).fill(pngChunk('zTXt', text))));
      const headers = { 'Content-Type': BOUNDARY };
      return (signal) => send(target, { path: '/predict', headers, body }, signal);
    },
  },
  {
    name: 'pixels',
    what: 'predictions of 1000 pictures of one pixel each',
    clients: 2,
    statuses: [200, 413, 429, 503],
    async prepare(target) {
      const body = jsonOf(target.profile, new Array<string>(1000).fill(pixelPng().toString('base64')));
      return (signal) => send(target, { path: '/predict', headers: JSON_TYPE, body }, signal);
    },
  },
  {
    name: 'slow-readers',
    what: '32 MB of JSON with 1000 images, whose answers of megabytes nobody reads for a second',
    clients: 2,
    statuses: [200, 429, 503],
    async prepare(target) {
      // Quotes take twice as much in an answer.
      const labels = [1, 2, 3, 4, 5].map((i) => `${i}${'"'.repeat(255)}`);
      const image = new Float32Array(target.imageLength);
      const client = new WhetClient(target.url);
      const { profile } = await client.adapt({ examples: labels.map((label) => ({ label, image })) });
      const body = Buffer.alloc(32 * MIB, 0x20);
      jsonOf(profile, new Array<string>(1000).fill(pixelPng().toString('base64'))).copy(body);
      return (signal) => send(target, { path: '/predict', headers: JSON_TYPE, body, unreadMs: 1000 }, signal);
    },
  },
  {
    name: 'lists',
    what: 'predictions of 1000 images each',
    clients: 4,
    statuses: [200, 413, 429, 503],
    async prepare(target) {
      const body = manyImages(target);
      const headers = { 'Content-Type': 'application/octet-stream' };
      return (signal) => send(target, { path: predict(target), headers, body }, signal);
    },
  },
  {
    name: 'tensors',
    what: '1000 images as float32 values, the last of them NaN',
    clients: 4,
    statuses: [422, 429, 503],
    async prepare(target) {
      const body = manyImages(target);
      body.writeFloatLE(Number.NaN, body.length - 4);
      const headers = { 'Content-Type': 'application/octet-stream' };
      return (signal) => send(target, { path: predict(target), headers, body }, signal);
    },
  },
  {
    name: 'preamble',
    what: 'a form of 400 MB before its first part, without a length',
    clients: 4,
    statuses: [413, 429, 0],
    async prepare(target) {
      const headers = { 'Content-Type': BOUNDARY, 'Transfer-Encoding': 'chunked' };
      return (signal) => send(target, { path: '/adapt', headers, body: pour(400) }, signal);
    },
  },
  {
    name: 'body-of-get',
    what: 'a question with a body of 400 MB',
    clients: 4,
    statuses: [200, 0],
    async prepare(target) {
      const headers = { 'Transfer-Encoding': 'chunked' };
      return (signal) => send(target, { path: '/health/live', method: 'GET', headers, body: pour(400) }, signal);
    },
  },
  {
    name: 'held',
    what: '40 clients that hold 30 MB each',
    clients: 40,
    statuses: [429, 0],
    async prepare(target) {
      const types = ['application/json', 'application/octet-stream', BOUNDARY];
      const bytes = Buffer.alloc(30 * MIB, 0x20);
      return (signal, count) => {
        const headers = { 'Content-Type': types[count % types.length] as string, 'Transfer-Encoding': 'chunked' };
        return send(target, { path: predict(target), headers, body: hold(bytes, signal) }, signal);
      };
    },
  },
];
