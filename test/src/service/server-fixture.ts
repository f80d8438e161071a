import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type Limits, type ProfileStore, type ServerOptions, startServer } from '@whet/server';
import { TINY_SIZE, tinyCheckpoint } from '@whet/tools/bundles/tiny-bundle';
import { buildBundle, omniglotPreprocessing, writeBundle } from '@whet/trainer';
import sharp from 'sharp';
import { checkAnswersOf } from './check-answers.js';

/** Side of the tiny bundle's images, in pixels. */
export const SIZE = TINY_SIZE;

/** The files of the tiny bundle, compiled once in this process. */
let compiled: ReadonlyMap<string, Uint8Array> | undefined;

/** A real bundle of a small network with random weights: nothing it predicts is good, everything else is the same. */
export async function openTinyBundle(): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'whet-server-'));
  try {
    compiled ??= buildBundle({
      checkpoint: tinyCheckpoint(),
      name: 'tiny',
      version: '1.0.0',
      description: 'Random weights.',
      preprocessing: omniglotPreprocessing(SIZE),
      limits: { maxClasses: 5, maxExamples: 12 },
    }).contents;
    await writeBundle(join(directory, 'tiny'), compiled);
    return await loadBundle(join(directory, 'tiny'), { threads: 1 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export interface TestServer {
  readonly url: string;
  readonly store: ProfileStore;
  readonly bundle: Bundle;
  /** What the server called its own fault. */
  readonly errors: unknown[];
  close(): Promise<void>;
}

/**
 * A server of the tiny bundle, called `tiny` and, a second time, `other`. Every answer that is fetched from it is compared
 * with its OpenAPI document.
 */
export async function startTestServer(
  limits: Partial<Limits> = {},
  options: Partial<ServerOptions> = {},
): Promise<TestServer> {
  const bundle = await openTinyBundle();
  const store = options.store ?? createMemoryStore();
  const errors: unknown[] = [];
  const bundles = new Map([
    ['tiny', bundle],
    ['other', bundle],
  ]);
  const server = await startServer({
    bundles,
    store,
    version: '1.2.3',
    limits,
    onError: (error) => errors.push(error),
    ...options,
  });
  const stopChecking = await checkAnswersOf(server.url);
  return {
    url: server.url,
    store,
    bundle,
    errors,
    close: async () => {
      stopChecking();
      await server.close();
      await bundle.release();
    },
  };
}

/** Three drawings that even random features tell apart: ink on the left, on top, in the corner. */
const drawings = {
  left: (x: number, _y: number) => x < SIZE / 3,
  top: (_x: number, y: number) => y < SIZE / 3,
  corner: (x: number, y: number) => x > SIZE / 2 && y > SIZE / 2,
} as const;

export type Drawing = keyof typeof drawings;

/** The pixels of a drawing, black on white. */
function pixelsOf(shape: Drawing): Uint8Array {
  return Uint8Array.from({ length: SIZE * SIZE }, (_, i) =>
    drawings[shape](i % SIZE, Math.floor(i / SIZE)) ? 0 : 255,
  );
}

/** The tensor of a drawing, as the bundle's preprocessing makes it. */
export function tensorOf(shape: Drawing): number[] {
  return Array.from(pixelsOf(shape), (pixel) => 1 - pixel / 255);
}

/** Little-endian float32 bytes in base64. */
export function float32Base64(values: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) view.setFloat32(i * 4, value, true);
  return Buffer.from(view.buffer).toString('base64');
}

export function fileOf(shape: Drawing, format: 'png' | 'jpeg' | 'webp' = 'png'): Promise<Buffer> {
  const image = sharp(pixelsOf(shape), { raw: { width: SIZE, height: SIZE, channels: 1 } });
  return image.toFormat(format, { quality: 100 }).toBuffer();
}

export async function base64Of(shape: Drawing): Promise<string> {
  return (await fileOf(shape)).toString('base64');
}

/** A form of files and texts, in the order given. */
export function formOf(fields: readonly (readonly [name: string, value: string | Uint8Array])[]): FormData {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === 'string') form.append(name, value);
    else form.append(name, new Blob([value as Uint8Array<ArrayBuffer>]), 'image.png');
  }
  return form;
}

/** Posts a form, or anything else as JSON. */
export function post(url: string, body: unknown): Promise<Response> {
  if (body instanceof FormData) return fetch(url, { method: 'POST', body });
  return postText(url, JSON.stringify(body));
}

export function postText(
  url: string,
  body: string | Uint8Array,
  headers: Record<string, string> = { 'Content-Type': 'application/json' },
): Promise<Response> {
  return fetch(url, { method: 'POST', headers, body: body as string | Uint8Array<ArrayBuffer> });
}
