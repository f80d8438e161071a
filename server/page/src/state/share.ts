import { t } from '../messages/index.js';
import { coarser } from './coarser.js';
import type { Person } from './model.js';
import { bundleName, PlainError } from './signals.js';

// What was learned, in the fragment of a link, which browsers never send to a server.

/**
 * Characters from which a link may be cut off, and those that it has at most. Signal has 2 KiB in a message, and 64 KiB of text attached to it; Telegram
 * 4,096 characters, a line of mail 998. Firefox keeps addresses of up to 65,536. For other messengers nothing is documented, so that both are cautious choices.
 */
export const [LONG_LINK, MOST_LINK] = [2000, 64_000];
/** Bytes that a profile in a link has at most once it is unpacked. */
const MOST_BYTES = 4_000_000;

async function through(bytes: Uint8Array, stream: CompressionStream | DecompressionStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(stream);
  for (const reader = packed.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    length += value.length;
    if (length > MOST_BYTES) throw new RangeError();
    parts.push(value);
  }
}

const toText = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '');

const fromText = (text: string): Uint8Array =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));

/** A link that opens this page with what a project has learned, in fewer digits than a file has. */
export async function linkTo({ name, bytes }: Person): Promise<string> {
  if (!bytes) throw new PlainError(t().learnFirst);
  const profile = toText(await through(coarser(bytes), new CompressionStream('deflate-raw')));
  const fragment = new URLSearchParams({ model: bundleName.value, name, profile });
  return `${location.origin}${location.pathname}#${fragment}`;
}

/** What a link brings; throws where it was cut off, or unpacks to more than any profile has. */
export async function readLink(
  hash: string,
): Promise<{ readonly model: string; readonly name: string; readonly profile: Uint8Array }> {
  const fields = new URLSearchParams(hash.slice(1));
  const [model = '', name = '', text = ''] = ['model', 'name', 'profile'].map((field) => fields.get(field) ?? '');
  try {
    const profile = await through(fromText(text), new DecompressionStream('deflate-raw'));
    return { model, name: name.slice(0, 80) || t().sharedName, profile };
  } catch (cause) {
    throw new PlainError(t().linkBroken, { cause });
  }
}
