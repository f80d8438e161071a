import { randomUUID } from 'node:crypto';
import { Problem, show } from '../problems.js';
import { malformed } from './malformed.js';

/** Bytes from which a text stays in its body's bytes: JSON.parse would make a copy of it, and another of the whole body. */
const LONG_BYTES = 1024;
/** Bytes of a text that is no image. */
const MAX_TEXT_BYTES = 64 * 1024;
/** Bytes of base64 that are decoded at once: a multiple of four. */
const PIECE_BYTES = 48 * 1024;

/** From its first byte in the quotes to the quote behind its last one. */
export type Range = readonly [from: number, to: number];

/** The long texts of a JSON body, which are left where they are: what is parsed has short ones in their places. */
export class JsonTexts {
  readonly #mark = randomUUID();
  readonly #ranges: Range[] = [];
  #names = 0;

  /** `bytes` are those of the body, and are overwritten by what is decoded. */
  constructor(private readonly bytes: Uint8Array) {}

  /** Takes a text of the body where it is long. */
  add(from: number, to: number): boolean {
    if (to - from < LONG_BYTES) return false;
    this.#ranges.push([from, to]);
    return true;
  }

  /** The last text that was taken is a member's name. */
  lastIsName(): void {
    this.#names++;
    this.#ranges.pop();
  }

  /** The body without its long texts. Throws {@link Problem} where a member has a long name. */
  rest(): string {
    if (this.#names > 0)
      throw new Problem('too-large', 'body', `expected names of at most ${LONG_BYTES} bytes, got more`);
    const buffer = viewOf(this.bytes);
    let [text, at] = ['', 0];
    for (const [i, [from, to]] of this.#ranges.entries()) {
      text += `${buffer.toString('utf8', at, from)}${this.#mark}${i}`;
      at = to;
    }
    return text + buffer.toString('utf8', at);
  }

  /** Decodes what stands for a text of base64, perhaps behind a prefix of a data URL that `begin` finds. */
  encoded(text: string): EncodedText {
    const range = this.#rangeOf(text);
    if (!range) return new EncodedText(new TextEncoder().encode(text), text.length);
    const bytes = this.bytes.subarray(...range) as Uint8Array<ArrayBuffer>;
    return new EncodedText(unescaped(bytes), bytes.length);
  }

  /** The text that one stands for. Throws {@link Problem} naming the field where it is longer than any text of a request. */
  text(text: string, field: string): string {
    const range = this.#rangeOf(text);
    if (!range) return text;
    const [from, to] = range;
    if (to - from > MAX_TEXT_BYTES) {
      throw new Problem('invalid-input', field, `expected a text of at most ${MAX_TEXT_BYTES} bytes, got ${to - from}`);
    }
    return parse(`"${viewOf(this.bytes).toString('utf8', from, to)}"`) as string;
  }

  #rangeOf(text: string): Range | undefined {
    return text.startsWith(this.#mark) ? this.#ranges[Number(text.slice(this.#mark.length))] : undefined;
  }
}

/** A text of ASCII, as its bytes. */
export class EncodedText {
  constructor(
    private readonly bytes: Uint8Array<ArrayBuffer>,
    private readonly length: number,
  ) {}

  /** Its first characters. */
  head(length: number): string {
    return viewOf(this.bytes).toString('utf8', 0, length);
  }

  /** As an error shows it. */
  show(length: number): string {
    const head = this.head(length);
    return head.length < this.length ? JSON.stringify(`${head}... (${this.length} characters)`) : show(head);
  }

  /** The bytes that stand in it as padded base64 from a character on, in the memory of the text; undefined where it is none. */
  decode(begin = 0): Uint8Array<ArrayBuffer> | undefined {
    const text = this.bytes.subarray(begin);
    const { length } = text;
    if (length % 4 !== 0) return undefined;
    const equals = (at: number) => Number(text[at] === 0x3d);
    const padding = equals(length - 1) === 0 ? 0 : 1 + equals(length - 2);
    const buffer = viewOf(text);
    let at = 0;
    for (let from = 0; from < length; from += PIECE_BYTES) {
      const to = Math.min(from + PIECE_BYTES, length);
      at += buffer.write(buffer.toString('latin1', from, to), at, 'base64');
      // Node's decoder skips what is not base64, so a length that falls short is how it tells.
      if (at !== (to / 4) * 3 - (to === length ? padding : 0)) return undefined;
    }
    return text.subarray(0, at);
  }
}

/** JSON's value. Throws {@link Problem}. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed((error as Error).message);
  }
}

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length);

const ESCAPES = new Map(
  ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'].map(([a, b]) => [codeOf(a), codeOf(b)]),
);
/** Stands for what is not ASCII: it is no base64 either. */
const OTHER = codeOf('!');

function codeOf(character = ''): number {
  return character.charCodeAt(0);
}

/** The bytes without JSON's escapes, in the same memory. Throws {@link Problem} where one is none. */
function unescaped(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let at = bytes.indexOf(0x5c);
  if (at < 0) return bytes;
  for (let i = at; i < bytes.length; i++) {
    let byte = bytes[i] as number;
    if (byte === 0x5c) {
      const letter = bytes[++i] as number;
      byte = ESCAPES.get(letter) ?? unicode(bytes, i);
      if (!ESCAPES.has(letter)) i += 4;
    }
    bytes[at++] = byte;
  }
  return bytes.subarray(0, at);
}

/** Of `uXXXX` at a place. */
function unicode(bytes: Uint8Array, at: number): number {
  const text = viewOf(bytes).toString('latin1', at, at + 5);
  if (!/^u[\da-f]{4}$/i.test(text)) throw malformed(`the escape \\${text} in a text`);
  const code = Number.parseInt(text.slice(1), 16);
  return code < 0x80 ? code : OTHER;
}
