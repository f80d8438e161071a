import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultLimits } from '@whet/server';
import { openApiDocument } from '@whet/server/openapi';
import { build } from 'vitepress';
import { writeApi } from './api.js';
import { commandsPage } from './commands.js';
import { readDocument, repository, targetOf } from './documents.js';
import { FILES, siteLink } from './links.js';
import { GENERATED, sources } from './pages.js';

// npm run docs: the site in build/docs, made of the documents, the code and nothing from elsewhere.
const { values } = parseArgs({ options: { base: { type: 'string', default: '/' } } });

function write(place: string, content: string): void {
  const path = `${repository}${GENERATED}/${place}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** Copies what pages link to and is no page. */
function copyFiles(): void {
  for (const source of sources.filter((each) => !each.startsWith(GENERATED))) {
    for (const { document, target } of readDocument(source).links) {
      const link = siteLink(document, target);
      if (!link?.startsWith(`/${FILES}/`)) continue;
      const path = `${repository}${GENERATED}/public${link}`;
      mkdirSync(dirname(path), { recursive: true });
      copyFileSync(repository + targetOf(document, target).path, path);
    }
  }
}

const { version } = JSON.parse(readFileSync(`${repository}package.json`, 'utf8')) as { version: string };
rmSync(repository + GENERATED, { recursive: true, force: true });
write('public/openapi.json', JSON.stringify(openApiDocument({ limits: defaultLimits, version, auth: 'keys' })));
write('commands.md', await commandsPage(version));
copyFiles();
await writeApi();
await build(`${repository}site`, { base: values.base });
