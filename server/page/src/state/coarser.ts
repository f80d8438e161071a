// What a link leaves out: digits of a head's rows. Of 1,600 answers about the demo pictures 4 change (link-answers.test.ts). The rest of a
// profile is as it was.

/** Values that are rounded, and the scales of those that are stored as bytes. */
const ROUNDED = /^(head\.weight|familiar\.means)(@scale)?$/;
/** Steps to each side of nothing that are left of a byte, and digits of a number's binary fraction. */
const [STEPS, DIGITS] = [7, 8];

interface StoredTensor {
  readonly dtype?: string;
  readonly data_offsets?: readonly [from: number, to: number];
}

/** A profile with fewer digits, which compress to about half: the directions of classes have so many entries that what is rounded averages out. */
export function coarser(profile: Uint8Array): Uint8Array {
  const made = profile.slice();
  const view = new DataView(made.buffer);
  // A safetensors file: the length of a header, the header, values.
  const data = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(made.subarray(8, data))) as Record<string, StoredTensor>;
  for (const [name, { dtype, data_offsets: [from, to] = [0, 0] }] of Object.entries(header)) {
    if (!ROUNDED.test(name)) continue;
    for (let at = data + from; dtype === 'I8' && at < data + to; at++) {
      const step = Math.round((view.getInt8(at) * STEPS) / 127);
      view.setInt8(at, Math.round((step * 127) / STEPS));
    }
    for (let at = data + from; dtype === 'F32' && at < data + to; at += 4) {
      const value = view.getFloat32(at, true);
      const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - DIGITS);
      if (unit > 0) view.setFloat32(at, Math.round(value / unit) * unit, true);
    }
  }
  return made;
}
