import { fork } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { quantile } from '@whet/trainer';
import { type Attack, type Statuses, unexpected } from './attack.js';
import { attacks } from './attacks.js';
import { watch } from './measure.js';
import { attackStores } from './stores.js';
import { type AttackTarget, startTarget } from './target.js';

// What another client sees while a service is attacked: npm run attack -- [names] --seconds 10

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bundle: { type: 'string', default: 'models/bundles/omniglot-conv4' },
    seconds: { type: 'string', default: '10' },
  },
});
const milliseconds = Number(values.seconds) * 1000;
const known = [...attacks.map(({ name }) => name), 'stores'];
const unknown = positionals.find((name) => !known.includes(name));
if (unknown !== undefined) throw new Error(`expected attacks of ${known.join(', ')}, got "${unknown}"`);
const isAsked = (name: string) => positionals.length === 0 || positionals.includes(name);

function attackInAnotherProcess({ name }: Attack, target: AttackTarget, duration: number): Promise<Statuses> {
  const child = fork(fileURLToPath(new URL('./attacker.js', import.meta.url)));
  return new Promise((resolve, reject) => {
    child.once('message', (statuses) => resolve(statuses as Statuses));
    child.once('exit', (code) => reject(new Error(`the attacker ended with code ${code}`)));
    const { url, key, profile, imageLength, pid, bundle } = target;
    child.send({ name, target: { url, key, profile, imageLength, pid, bundle }, milliseconds: duration });
  });
}

async function measure(attack: Attack): Promise<string> {
  const target = await startTarget({ bundle: values.bundle, auth: attack.auth ?? 'off' });
  try {
    // What is slow only the first time is no measure of anything.
    await watch(target, 2000);
    const idle = await watch(target, milliseconds);
    const under = attackInAnotherProcess(attack, target, milliseconds + 2000);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const during = await watch(target, milliseconds);
    const statuses = await under;
    const [before, after] = [quantile(idle.times, 0.99), quantile(during.times, 0.99)];
    const longest = Math.max(...during.times);
    const peak = (await target.peakBytes()) / 1e6;
    const got = Object.entries(statuses).map(([status, count]) => `${count} x ${status}`);
    const odd = unexpected(attack, statuses);
    const faults = [
      ...(target.exit() === undefined ? [] : [`exit ${target.exit()}`]),
      ...(odd.length === 0 ? [] : [`status ${odd.join(', ')}`]),
      ...(during.failures.length === 0 ? [] : [`${during.failures.length} x ${during.failures[0]}`]),
    ];
    const cells = [
      attack.name,
      attack.what,
      `${before.toFixed(1)} ms`,
      `${after.toFixed(1)} ms`,
      (after / before).toFixed(1),
      `${longest.toFixed(0)} ms`,
      `${peak.toFixed(0)} MB`,
      got.join(', ') || 'none',
      faults.join('; ') || 'none',
    ];
    return `| ${cells.join(' | ')} |\n`;
  } finally {
    await target.close();
  }
}

process.stdout.write(
  `${availableParallelism()} x ${cpus()[0]?.model}, Node.js ${process.version}; ${values.bundle}, ${values.seconds} s each\n\n` +
    "| attack | | another client's p99, idle | during | times | longest | peak memory | answers | faults |\n" +
    '|---|---|--:|--:|--:|--:|--:|---|---|\n',
);
for (const attack of attacks) {
  if (isAsked(attack.name)) process.stdout.write(await measure(attack));
}

if (isAsked('stores')) {
  const figures = await attackStores({ bundle: values.bundle, profiles: 100_000, milliseconds, clients: 8 });
  const alone = figures[0]?.predictions ?? Number.NaN;
  process.stdout.write(
    "\n| 100,000 profiles that expire | another client's p99 | times | p99 of /health | answers | failed |\n|---|--:|--:|--:|--:|--:|\n" +
      figures
        .map(({ what, predictions, questions, asked, failed }) => {
          const cells = [
            what,
            `${predictions.toFixed(1)} ms`,
            (predictions / alone).toFixed(1),
            asked > 0 ? `${questions.toFixed(1)} ms` : '-',
          ];
          return `| ${[...cells, asked, failed].join(' | ')} |\n`;
        })
        .join(''),
  );
}
