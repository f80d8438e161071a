import type { Attack } from './attack.js';
import { importAttacks } from './imports.js';
import { staticFileAttacks } from './static-files.js';
import { hostAttacks } from './strangers.js';
import { workAttacks } from './work.js';

/** All attacks, by what they are for. */
export const attacks: readonly Attack[] = [...workAttacks, ...importAttacks, ...hostAttacks, ...staticFileAttacks];
