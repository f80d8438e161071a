import { Profile, readProfile } from '@whet/runtime';
import { WhetClient } from '@whet/runtime/client';
import type { Attack } from './attack.js';
import { send } from './send.js';
import type { AttackTarget } from './target.js';

// Profiles that nobody made by adapting.

const MIB = 2 ** 20;

/** A safetensors file of a header, which need not be one. */
function fileOf(header: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

function imported(
  name: string,
  what: string,
  statuses: readonly number[],
  make: (target: AttackTarget) => Promise<Uint8Array>,
): Attack {
  return {
    name,
    what,
    clients: 4,
    statuses: [429, ...statuses],
    async prepare(target) {
      const body = await make(target);
      const headers = { 'Content-Type': 'application/octet-stream' };
      return (signal) => send(target, { path: '/profiles', headers, body }, signal);
    },
  };
}

/** The other client's profile, grown to many classes. */
async function grown({ url, profile }: AttackTarget, count: number): Promise<Uint8Array> {
  const { bytes } = await new WhetClient(url).exportProfile(profile);
  const { bundle, pattern, steps, values, storage } = readProfile(bytes);
  const length = values.get('head.weight')?.shape[1] as number;
  const classes = Array.from({ length: count }, (_, i) => `${i}`);
  const more = new Map(values)
    .set('head.weight', { shape: [count, length], data: new Float32Array(count * length) })
    .set('head.bias', { shape: [count], data: new Float32Array(count) });
  const examples = new Array<number>(count).fill(1);
  return new Profile(bundle, pattern, classes, examples, steps, more, storage).toBytes();
}

export const importAttacks: readonly Attack[] = [
  imported('import-classes', 'a profile of more classes than a bundle takes', [409, 413], (target) =>
    grown(target, 20_000),
  ),
  imported('import-brackets', 'a profile whose header is 30 MB of brackets', [409, 413], async () =>
    fileOf(Buffer.alloc(30 * MIB, '[')),
  ),
  imported('import-header', 'a profile whose header is 4 kB of brackets', [409], async () =>
    fileOf(Buffer.alloc(4096, '[')),
  ),
  imported('import-names', 'a profile whose header is 4 kB of names', [409], async () =>
    fileOf(Buffer.from(`{${Array.from({ length: 400 }, (_, i) => `"${i}":{}`).join()}}`)),
  ),
];
