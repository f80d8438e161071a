import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type InlineConfig } from 'vite';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  mjs: 'text/javascript',
  css: 'text/css',
  wasm: 'application/wasm',
};

/** An app as Vite builds it, on an address of this machine, with folders beside it by their names. */
export interface BuiltApp {
  readonly address: string;
  /** The paths that were asked for. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export async function serveBuilt(
  root: string,
  beside: Readonly<Record<string, string>>,
  config: InlineConfig = { configFile: join(root, 'vite.config.js') },
): Promise<BuiltApp> {
  const outDir = await mkdtemp(join(tmpdir(), 'whet-app-'));
  await build({ ...config, root, logLevel: 'silent', build: { outDir, target: 'es2022' } });
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '', 'http://localhost').pathname.replace(/\/$/, '/index.html');
    asked.push(path);
    const [, folder = '', ...rest] = path.split('/');
    const file = Object.hasOwn(beside, folder) ? join(beside[folder] as string, ...rest) : join(outDir, path);
    const bytes = await readFile(file).catch(() => undefined);
    const type = TYPES[path.split('.').at(-1) as string] ?? 'application/octet-stream';
    response.writeHead(bytes ? 200 : 404, { 'Content-Type': type }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await rm(outDir, { recursive: true });
    },
  };
}
