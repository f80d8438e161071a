/** Of a PNG file at most; one of tens of megabytes has some thousands. */
const MAX_CHUNKS = 100_000;
const SIGNATURE_LENGTH = 8;
/** Beside a chunk's data: its length, its type and its checksum. */
const FRAME_LENGTH = 12;
/** Of a type's first byte: set where a decoder may do without the chunk. */
const ANCILLARY = 0x20;
/** The ancillary chunks that say what the pixels are. */
const NEEDED = new Set(['tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'cICP', 'sBIT', 'bKGD', 'pHYs', 'eXIf'].map(codeOf));
const IEND = codeOf('IEND');

/**
 * A PNG file without the chunks that its pixels do without, such as texts: kilobytes of one decompress to megabytes, and a file may hold
 * any number of them. The same bytes where there are none. Throws where the file has no last chunk, which decoders do not miss.
 */
export function withoutNeedless(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept: Uint8Array[] = [];
  const seen = new Set<number>();
  // Start of a run of chunks that are kept.
  let from = 0;
  let at = SIGNATURE_LENGTH;
  for (let chunks = 0; at + FRAME_LENGTH <= bytes.length; chunks++) {
    // Only so many: walking millions of empty ones would hold the thread up.
    if (chunks === MAX_CHUNKS) throw new Error(`more than ${MAX_CHUNKS} chunks`);
    const next = at + FRAME_LENGTH + view.getUint32(at);
    const type = view.getUint32(at + 4);
    if (type === IEND) {
      if (next > bytes.length) break;
      if (kept.length === 0 && from === 0) return bytes;
      kept.push(bytes.subarray(from, next));
      return joined(kept);
    }
    const isAncillary = ((bytes[at + 4] as number) & ANCILLARY) !== 0;
    if (isAncillary && (!NEEDED.has(type) || seen.has(type))) {
      kept.push(bytes.subarray(from, at));
      from = next;
    } else if (isAncillary) seen.add(type);
    at = next;
  }
  throw new Error('no IEND chunk');
}

/** The four letters of a type as the number that they are in a file. */
function codeOf(type: string): number {
  return [...type].reduce((code, letter) => code * 256 + letter.charCodeAt(0), 0);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
