import { sha256 } from './bundle-files.js';
import { InputError } from './errors.js';
import { englishTexts, type HtmlTexts } from './html-texts.js';
import { inlined } from './inlined.js';
import type { Preprocessing } from './preprocessing.js';

export { englishTexts, type HtmlTexts } from './html-texts.js';

// A frozen profile as one HTML file, which opens from a disk and connects to nothing: onnxruntime's WebAssembly, the model and a script are in it.

export interface HtmlParts {
  /** Class names, in the order of the model's probabilities. */
  readonly classes: readonly string[];
  readonly preprocessing: Preprocessing;
  /** What `Bundle.freeze` made with `input: 'pixels'`. */
  readonly model: Uint8Array;
  /** `dist/html-script.js` of this package, which has onnxruntime-web's script in it. */
  readonly script: string;
  /** `ort-wasm-simd-threaded.wasm` of the same version of onnxruntime-web. */
  readonly wasm: Uint8Array;
  /** What the page says; English when absent. */
  readonly texts?: HtmlTexts;
}

/** What the script reads of its page, beside the model and the WebAssembly. */
export type HtmlSettings = Pick<HtmlParts, 'classes' | 'preprocessing'> & {
  readonly texts: Pick<HtmlTexts, 'ready' | 'unreadable' | 'cannotStart' | 'failed'>;
};

/** A page, and the bytes that its model and its WebAssembly take in it. */
export interface HtmlFile {
  readonly html: string;
  readonly bytes: { readonly all: number; readonly model: number; readonly wasm: number };
}

/** What mail takes at most, with many providers. */
const MOST_BYTES = 25_000_000;
const MEGABYTE = 1_000_000;

const STYLE = `:root { color-scheme: light dark; --ground: #fff; --panel: #f2f4f7; --text: #1c2330; --muted: #586173; --mark: #1f6fd0; --on-mark: #fff; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171d; --panel: #232934; --text: #e6e9ef; --muted: #a3adbd; --mark: #6aa9f4; --on-mark: #10131a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 32rem; padding: 1.25rem 1rem 3rem; background: var(--ground); color: var(--text); font: 1.0625rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; color: var(--muted); }
small { color: var(--muted); overflow-wrap: anywhere; }
[role=alert] { color: inherit; border-inline-start: .25rem solid; padding-inline-start: .75rem; }
.choose { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.choose label { position: relative; flex: 1 1 10rem; padding: .75rem .5rem; border-radius: .5rem; background: var(--mark); color: var(--on-mark); text-align: center; font-weight: 600; cursor: pointer; }
.choose label:focus-within { outline: .2rem solid var(--text); outline-offset: .15rem; }
.choose input { position: absolute; inset: 0; width: 100%; opacity: 0; cursor: pointer; font-size: 0; }
@media (hover: hover) { .camera { display: none; } }
img { display: block; max-width: 100%; max-height: 50vh; margin: 1rem auto; border-radius: .5rem; }
ol { list-style: none; padding: 0; margin: 1rem 0; }
li { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; padding: .4rem 0; overflow-wrap: anywhere; }
li:first-child { font-weight: 700; font-size: 1.15rem; }
li span:nth-child(2) { font-variant-numeric: tabular-nums; }
meter { grid-column: 1 / -1; width: 100%; height: .8rem; }
[hidden] { display: none !important; }`;

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

async function gzipped(bytes: Uint8Array): Promise<string> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('gzip'));
  return base64(new Uint8Array(await new Response(stream).arrayBuffer()));
}

const hashOf = async (text: string): Promise<string> =>
  `'sha256-${base64(await sha256(new TextEncoder().encode(text)))}'`;

/** Scripts that are written from the right, of languages that are spoken. */
const FROM_RIGHT = ['Adlm', 'Arab', 'Aran', 'Hebr', 'Mand', 'Nkoo', 'Rohg', 'Samr', 'Syrc', 'Thaa'];

/** Where lines of a language begin, by the script that it names or is mostly written in. */
function directionOf(language: string): 'ltr' | 'rtl' {
  try {
    return FROM_RIGHT.includes(new Intl.Locale(language).maximize().script ?? '') ? 'rtl' : 'ltr';
  } catch (cause) {
    const text = `texts.language: expected a language, as in "de", got ${JSON.stringify(language)}`;
    throw Object.assign(new InputError('texts.language', text), { cause });
  }
}

/**
 * The page of a frozen profile. Runs in Node.js and in browsers.
 *
 * @throws {InputError} where the script holds what would end it in a page, and where `texts` are of no language.
 */
export async function writeHtml({
  classes,
  preprocessing,
  model,
  script,
  wasm,
  ...said
}: HtmlParts): Promise<HtmlFile> {
  const [packedModel, packedWasm] = [await gzipped(model), await gzipped(wasm)];
  const own = inlined(script);
  const texts = said.texts ?? englishTexts(classes);
  const { ready, unreadable, cannotStart, failed } = texts;
  const settings: HtmlSettings = { classes, preprocessing, texts: { ready, unreadable, cannotStart, failed } };
  const policy = [
    "default-src 'none'",
    `script-src ${await hashOf(own)} 'wasm-unsafe-eval'`,
    `style-src ${await hashOf(STYLE)}`,
    'img-src blob:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const of = (name: keyof HtmlTexts) => escaped(texts[name]);
  const data = (id: string, text: string) => `<script type="text/plain" id="${id}">${text}</script>`;
  const html = `<!doctype html>
<html lang="${of('language')}" dir="${directionOf(texts.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${of('title')}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${of('title')}</h1>
<p>${of('intro')}</p>
<div class="choose">
<label>${of('choose')}<input type="file" accept="image/*" disabled></label>
<label class="camera">${of('take')}<input type="file" accept="image/*" capture="environment" disabled></label>
</div>
<p id="state" role="status">${of('gettingReady')}</p>
<p id="problem" role="alert" hidden></p>
<small id="reason" lang="en" dir="ltr"></small>
<img id="picture" alt="${of('picture')}" hidden>
<ol id="answers" aria-label="${of('answers')}"></ol>
</main>
<noscript><p>${of('noScript')}</p></noscript>
${data('settings', JSON.stringify(settings).replaceAll('<', '\\u003c'))}
${data('wasm', packedWasm)}
${data('model', packedModel)}
<script>${own}</script>
</body>
</html>
`;
  return { html, bytes: { all: html.length, model: packedModel.length, wasm: packedWasm.length } };
}

/** What to say of a page that is too large to be sent; undefined where it is not. */
export function sizeProblem({ all, model, wasm }: HtmlFile['bytes']): string | undefined {
  if (all <= MOST_BYTES) return undefined;
  const of = (bytes: number) => `${(bytes / MEGABYTE).toFixed(1)} MB`;
  return (
    `${of(all)} are more than the 25 MB that mail takes: ${of(model)} of them are the model, ${of(wasm)} onnxruntime's WebAssembly. ` +
    'A bundle made with `whet compile --quantize int8` or of a smaller network makes a smaller one'
  );
}
