import type { HtmlTexts } from '@whet/runtime/html';
import type { Bundle, Profile } from '@whet/runtime/web';

/** Addresses of what a page of its own has in it, beside the model. */
export interface WebPageUrls {
  /** The script that classifies, with onnxruntime-web's in it. */
  readonly script: string;
  readonly wasm: string;
}

/** What `whet freeze --html` writes: a profile as one HTML file that asks for pictures and says what they show. */
export async function writeWebPage(
  open: Bundle,
  profile: Profile,
  texts: HtmlTexts,
  urls: WebPageUrls,
  read: (url: string) => Promise<ArrayBuffer>,
): Promise<Blob> {
  const { writeHtml } = await import('@whet/runtime/html');
  const model = await open.freeze(profile, { input: 'pixels' });
  const [script, wasm] = [new TextDecoder().decode(await read(urls.script)), new Uint8Array(await read(urls.wasm))];
  const { preprocessing } = open.manifest;
  const { html } = await writeHtml({ classes: profile.classes, preprocessing, model, script, wasm, texts });
  return new Blob([html], { type: 'text/html' });
}
