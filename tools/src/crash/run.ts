import { parseArgs } from 'node:util';
import { startProgress } from 'whet';
import { crash } from './crash.js';

// Kills a service again and again while profiles are written: npm run crash -- --rounds 200

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
const progress = startProgress('crash', rounds);
const began = performance.now();
const report = await crash(rounds, Number(values.seed), (round) => progress.update(round, 'killed'));
progress.stop();
const seconds = (performance.now() - began) / 1000;
process.stdout.write(
  `${report.rounds} kills in ${seconds.toFixed(0)} s: ${report.acknowledged} adaptations acknowledged, all there and bit-exact ` +
    `(${report.compared} comparisons); ${report.unacknowledged} more were written whole before their answer.\n`,
);
