import { setPriority } from 'node:os';
import { attackFor } from './attack.js';
import { attacks } from './attacks.js';
import type { AttackTarget } from './target.js';

// A process that attacks, so that the one that measures is not held up itself. Strangers compute on machines of their own.

setPriority(19);
process.once(
  'message',
  async ({ name, target, milliseconds }: { name: string; target: AttackTarget; milliseconds: number }) => {
    const attack = attacks.find((each) => each.name === name);
    if (!attack) throw new Error(`expected an attack, got "${name}"`);
    process.send?.(await attackFor(attack, target, milliseconds), () => process.exit());
  },
);
