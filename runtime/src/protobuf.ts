/**
 * Calls `onField` with the content of each field of a protobuf message that has a length, and with every field as it stands, its tag
 * included (`content` is empty where it has no length). Throws a RangeError where the message is damaged.
 */
export function readFields(
  message: Uint8Array,
  onField: (number: number, content: Uint8Array, whole: Uint8Array) => void,
): void {
  let at = 0;
  // A Buffer's own `subarray` is many times slower.
  const part = (from: number, length: number) => new Uint8Array(message.buffer, message.byteOffset + from, length);
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = message[at++] ?? Number.NaN;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('it ends within a number');
  };
  while (at < message.length) {
    const from = at;
    const tag = varint();
    // Others cut it to so many bits, and would find another field.
    if (tag >= 2 ** 32) throw new RangeError('a field has a number beyond all');
    const wire = tag % 8;
    const length = wire === 2 ? varint() : ({ 0: 0, 1: 8, 5: 4 }[wire] ?? Number.NaN);
    if (wire === 0) varint();
    if (!(at + length <= message.length)) throw new RangeError('a field ends beyond its message');
    const content = part(at, wire === 2 ? length : 0);
    at += length;
    onField(Math.floor(tag / 8), content, part(from, at - from));
  }
}

function* varintsIn(bytes: Uint8Array): Generator<number> {
  let [value, scale] = [0, 1];
  for (const byte of bytes) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    yield value;
    [value, scale] = [0, 1];
  }
}

/** The number of a field that has no length, by the field as it stands. */
export const numberIn = (whole: Uint8Array): number => [...varintsIn(whole)][1] as number;

/** The numbers of a field that is repeated: one, by the field as it stands, or several in one field that has a length. */
export const numbersIn = (content: Uint8Array, whole: Uint8Array): number[] =>
  content.length > 0 ? [...varintsIn(content)] : [...varintsIn(whole)].slice(1);

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A field that has a length: a text, or a message of fields. */
export function bytesField(number: number, content: string | Uint8Array | readonly Uint8Array[]): Uint8Array {
  const bytes =
    typeof content === 'string'
      ? new TextEncoder().encode(content)
      : content instanceof Uint8Array
        ? content
        : joinBytes(content);
  return joinBytes([Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}

/** A field of a whole number, 0 or more. */
export const numberField = (number: number, value: number): Uint8Array =>
  Uint8Array.from([...varint(number * 8), ...varint(value)]);
