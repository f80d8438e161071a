import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Block, repository } from '@whet/site/documents';

/** What a document leaves to its reader: what stands before its blocks and after them, and what is written elsewhere in them. */
interface Frame {
  readonly before?: string;
  readonly after?: string;
  readonly instead?: readonly (readonly [string, string])[];
}

const picture = (name: string): string => `await readFile('models/demo/things/${name}.webp')`;

/** By document. */
const frames: Readonly<Record<string, Frame>> = {
  'README.md': {
    before: `import { readFile } from 'node:fs/promises';
const [mugJpeg, kettleJpeg, anotherJpeg] = [${picture('pear/noto-v1-1')}, ${picture('crown/noto-v1-1')}, ${picture('pear/noto-v1-2')}];
let kept = 0;
const store = async (bytes: Uint8Array) => { kept = bytes.length; };`,
    after: `if (label !== 'mug' || !(probabilities[label] > 0.5) || familiarity === 0 || kept < 1000) throw new Error(\`\${label} \${kept}\`);
await bundle.release();`,
  },
  'docs/continual.md': {
    before: `import { readFile } from 'node:fs/promises';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
const bundle = await loadBundle('models/bundles/photos-lite0', { patterns: ['head'] });
const example = async (label: string) =>
  ({ label, image: await decodeImage(await readFile(\`models/demo/things/\${label}/noto-v1-1.webp\`), bundle.manifest.preprocessing) });
const examples = [await example('pear'), await example('crown')];
const others = [await example('scissors')];`,
    after: `if (tuesday.profile.classes.join() !== 'pear,crown,scissors') throw new Error(tuesday.profile.classes.join());
await bundle.release();`,
  },
  'docs/phones.md': {
    before: `import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
const pixels = async (name) => {
  const file = sharp(\`models/demo/things/\${name}.webp\`).ensureAlpha().raw();
  const { data, info: { width, height } } = await file.toBuffer({ resolveWithObject: true });
  return { width, height, data: new Uint8ClampedArray(data) };
};
const [cat, dog, picture] = [await pixels('pear/noto-v1-1'), await pixels('crown/noto-v1-1'), await pixels('pear/noto-v1-2')];`,
    after: `if (label !== 'cat') throw new Error(label);
await bundle.release();`,
    instead: [
      ["'onnxruntime-react-native'", "'onnxruntime-node'"],
      ["'https://example.org/photos-lite0'", "(path) => readFile('models/bundles/photos-lite0/' + path)"],
      ["'xnnpack'", "'cpu'"],
    ],
  },
  'server/README.md': {
    before: `import { readFile } from 'node:fs/promises';
const drawing = (label: string, font: string) => readFile(\`models/demo/characters/\${label}/\${font}.png\`);
const [pngBytes, otherPngBytes, anotherPng] = [await drawing('plus', 'caveat'), await drawing('tilde', 'caveat'), await drawing('plus', 'kalam')];`,
    after: `if (predictions[0]?.label !== 'one') throw new Error(JSON.stringify(predictions));
await server.close();`,
    instead: [
      ['port: 8080', 'port: 0'],
      ["'http://127.0.0.1:8080'", 'server.url'],
      ['console.log(server.url);', ''],
    ],
  },
};

/** Blocks that are one program. */
export interface Program {
  /** The document, and of a program for browsers its line. */
  readonly name: string;
  readonly document: string;
  readonly blocks: readonly Block[];
  /** Whether Node.js can run it. */
  readonly runs: boolean;
}

/** Blocks of one document are one program, in their order, but for those that need a browser, each of which is one. */
export function programsOf(blocks: readonly Block[]): Program[] {
  const programs = new Map<string, Program>();
  for (const block of blocks) {
    const { document, where, text } = block;
    const runs = !/from '@whet\/runtime\/web/.test(text);
    const name = runs ? document : where;
    programs.set(name, { name, document, runs, blocks: [...(programs.get(name)?.blocks ?? []), block] });
  }
  return [...programs.values()];
}

function textOf({ document, blocks, runs }: Program): string {
  if (!runs) return blocks.map(({ text }) => text).join('\n');
  const { before = '', after = '', instead = [] } = frames[document] ?? {};
  let text = blocks.map((block) => block.text).join('\n');
  for (const [written, meant] of instead) {
    if (!text.includes(written)) throw new Error(`${document}: expected ${JSON.stringify(written)} in its blocks`);
    text = text.replace(written, meant);
  }
  return `${before}\n${text}\n${after}\n`;
}

const run = promisify(execFile);
const compiler = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')));

/** The programs of documents, compiled against the packages as a reader's would be. */
export class Programs {
  readonly #folder: string;

  constructor(private readonly programs: readonly Program[]) {
    // Within the repository, whose packages they import.
    mkdirSync(join(repository, 'build'), { recursive: true });
    this.#folder = mkdtempSync(join(repository, 'build/documents-'));
  }

  /** Throws with what the compiler says. */
  async compile(): Promise<void> {
    for (const program of this.programs) {
      writeFileSync(this.#file(program, program.blocks[0]?.language ?? ''), textOf(program));
    }
    const compilerOptions = {
      ...{
        target: 'ES2023',
        module: 'NodeNext',
        lib: ['ES2023', 'DOM', 'DOM.Iterable'],
        types: ['node'],
        strict: true,
        skipLibCheck: true,
      },
      ...{ rootDir: '.', outDir: '.' },
    };
    writeFileSync(join(this.#folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(this.#folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['*.ts'], exclude: [] }),
    );
    await run(process.execPath, [compiler, '-p', this.#folder], { cwd: repository }).catch(
      (error: { stdout: string }) => {
        throw new Error(error.stdout);
      },
    );
  }

  /** What a program prints. */
  async run(program: Program): Promise<string> {
    const { stdout } = await run(process.execPath, [this.#file(program, 'js')], { cwd: repository });
    return stdout;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #file({ name }: Program, language: string): string {
    return join(this.#folder, `${name.replaceAll(/[/:]/g, '-')}.${language}`);
  }
}
