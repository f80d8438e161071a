import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { AUTO } from '@whet/runtime/format';
import { loadBundle } from '@whet/runtime/node';
import { modelRunConfigOf } from '@whet/trainer';
import { afterAll, describe, expect, it } from 'vitest';
import { networkOf } from '../compile/block-networks.js';
import { cpu, gratingSettings, model, residual, tasks, trainModelFolder, untilSo } from './train-model-folder.js';
import { runWhet } from './whet-process.js';

// `whet train --model` from end to end, on networks of a few channels and gratings of 8 x 8.

const root = await trainModelFolder();
afterAll(() => rm(root, { recursive: true, force: true }));
const whet = (...args: string[]) => runWhet(root, args);
const narrow = { ...gratingSettings, validation: { ...gratingSettings.validation, ways: 2 } };
await writeFile(join(root, 'narrow.json'), JSON.stringify(narrow));
const data = ['--data', 'near', '--data', 'far:0.5', '--validate', 'plain'];
const train = (...more: string[]) =>
  whet('train', ...model, ...data, '--config', 'settings.json', ...cpu, '--trainable', 'blocks:2', ...more);

describe('whet train --model', () => {
  it('learns in several data sets, and goes on bit for bit', { timeout: 120_000 }, async () => {
    const learn = ['--learn-weights', 'blocks:1', '--mask-cost', '0.1', '--byte-cost', '0.1'];
    const once = await train(...tasks, ...learn, '--run', 'once', '--outer-steps', '8');
    expect(once.err).toContain('masks per channel; the starts of ');
    expect(once.err).toContain("note: far, train: images of 12 x 12 are brought to the model's 8 x 8");
    expect(once.err).not.toContain('note: near');
    expect(once.code).toBe(0);
    for (const name of ['near', 'far', 'plain']) expect(once.out).toContain(`│ ${name}`);
    expect(once.out).toMatch(/masks close [\d.]+ % of the candidates/);
    const half = await train(...tasks, ...learn, '--run', 'twice', '--outer-steps', '4');
    expect(half.code).toBe(0);
    const rest = await whet('train', ...model, ...data, ...cpu, '--run', 'twice', '--resume', '--outer-steps', '8');
    expect(rest.err).toContain('from step 4 of 8');
    expect(rest.err).not.toContain('encode ');
    const [a, b] = await Promise.all(['once', 'twice'].map((run) => readFile(join(root, run, 'last.safetensors'))));
    expect(b?.equals(a as Buffer)).toBe(true);
    // However many tasks run beside each other, their gradients are added up in their order.
    const beside = await train(...tasks, ...learn, '--run', 'beside', '--outer-steps', '8', '--workers', '2');
    expect(beside.code).toBe(0);
    expect((await readFile(join(root, 'beside/last.safetensors'))).equals(a as Buffer)).toBe(true);
    const lines = (await readFile(join(root, 'once/metrics.jsonl'), 'utf8')).trim().split('\n');
    const { trained, blocks, validation } = JSON.parse(lines.at(-1) ?? '');
    expect(Object.keys(trained).sort()).toEqual(['far', 'near']);
    expect(Object.keys(validation)).toEqual(['near', 'far', 'plain']);
    expect(blocks.map(({ block }: { block: number }) => block)).toEqual([2, 1]);
  });

  it('is exported with nested patterns, which the runtime adapts', { timeout: 120_000 }, async () => {
    const exported = await whet(
      'export',
      'once/last.safetensors',
      ...model,
      '--out',
      'bundle',
      '--pattern',
      'head=none',
      '--pattern',
      'all=all',
    );
    expect(exported.err).toBe('');
    expect(exported.out).toContain('default: auto, by which examples choose among them');
    const bundle = await loadBundle(join(root, 'bundle'), { threads: 1 });
    const { patterns, provenance } = bundle.manifest;
    expect(Object.keys(patterns)).toEqual(['head', 'block', 'all', 'learned']);
    expect(patterns['learned']).toMatchObject({
      optimizer: 'adam',
      objective: 'prototypes',
      schedule: 'cosine',
      steps: 2,
    });
    const { moving = [] } = patterns['learned'] ?? {};
    expect(moving.some(({ moving, entries }) => moving < entries)).toBe(true);
    expect(JSON.stringify(provenance)).not.toContain(root);
    await bundle.release();
    for (const pattern of ['learned', AUTO, 'all']) {
      const adapted = await whet('adapt', 'bundle', '--examples', 'plain', '--pattern', pattern, '--out', 'me.profile');
      expect(adapted.code, adapted.err).toBe(0);
      expect(adapted.out).toContain('32 examples of 4 classes');
    }
  });

  it('is exported with what was learned of the last block beside it, and profiles of bytes', async () => {
    const to = async (out: string, ...more: string[]) => {
      const exported = await whet('export', 'once/last.safetensors', ...model, '--out', out, ...more);
      expect(exported.err).toBe('');
      return loadBundle(join(root, out), { threads: 1 });
    };
    const [plain, small] = [await to('nested'), await to('nested-int8', '--profiles', 'int8')];
    expect(Object.keys(small.manifest.patterns)).toEqual(['head', 'block', 'learned']);
    const moved = (pattern: string) => small.manifest.patterns[pattern]?.moving.map(({ name }) => name) ?? [];
    expect(moved('learned')).toEqual(expect.arrayContaining(moved('block')));
    expect(moved('block').every((name) => name.startsWith('c.'))).toBe(true);
    const images = Array.from({ length: 6 }, (_, n) =>
      Float32Array.from({ length: small.imageLength }, (_, i) => Math.sin(i * (n < 3 ? 0.3 : 1.1) + n)),
    );
    const examples = images.map((image, n) => ({ label: n < 3 ? 'a' : 'b', image }));
    const options = { pattern: 'learned', always: true };
    const { profile } = await small.adapt(examples, options);
    const before = await small.predict(profile, images);
    expect(await small.predict(small.profileFromBytes(profile.toBytes()), images)).toEqual(before);
    const whole = (await plain.adapt(examples, options)).profile;
    expect(profile.byteLength).toBeLessThan(whole.byteLength);
    // The same bundle but for how profiles are stored: either reads the other's.
    const exact = await small.predict(small.profileFromBytes(whole.toBytes()), images);
    before.forEach(({ probabilities }, i) => {
      for (const [name, value] of Object.entries(probabilities)) {
        expect(Math.abs(value - (exact[i]?.probabilities[name] as number))).toBeLessThan(0.02);
      }
    });
    // Who names no pattern has one chosen; pictures that are encoded already are so for one.
    expect(small.manifest).toMatchObject({ auto: true, defaultPattern: 'head' });
    expect((await small.adapt(examples)).auto).toBeDefined();
    const encoded = await small.encode(images);
    const known = examples.map(({ label }, i) => ({ label, image: encoded[i] as (typeof encoded)[number] }));
    const direct = await small.adapt(known);
    expect([direct.auto, direct.profile.pattern]).toEqual([undefined, 'head']);
    await expect(small.adapt(examples, { always: true })).rejects.toThrow('which takes them only where they pay');
    // Steps that were spared leave nothing to store but the head.
    const { profile: still } = await small.adapt(examples, { pattern: 'learned', steps: 0 });
    expect(still.storage.unmoved?.length).toBe(small.manifest.patterns['learned']?.moving.length);
    await small.release();
    await plain.release();
  });

  it('is exported with a policy, which names its patterns', async () => {
    const path = join(root, 'policy.json');
    const rules = { several: [{ below: 0.5, head: 'started' }, { steps: 'learned' }], lone: [{ head: 'solved' }] };
    const to = async (policy: object, out: string) => {
      await writeFile(path, JSON.stringify(policy));
      return whet('export', 'once/last.safetensors', ...model, '--out', out, '--policy', 'policy.json');
    };
    expect((await to(rules, 'decided')).err).toBe('');
    const manifest = JSON.parse(await readFile(join(root, 'decided/manifest.json'), 'utf8'));
    expect(manifest.policy).toEqual(rules);
    const other = await to({ ...rules, lone: [{ steps: 'deep' }] }, 'never');
    expect(other.err).toContain('policy: expected steps of one of head, block, learned, got "deep"');
    const bad = await to({ ...rules, several: [] }, 'never');
    expect(bad.err).toContain('policy.several: expected 1 or more');
    expect(await readdir(root)).not.toContain('never');
  });

  it('is exported without what masks learned', async () => {
    const { out, err } = await whet('export', 'once/last.safetensors', ...model, '--out', 'starts', '--no-learned');
    expect(err).toBe('');
    expect(out).not.toContain('learned');
    const bundles = await Promise.all(
      ['starts', 'nested'].map((name) => loadBundle(join(root, name), { threads: 1, patterns: ['head'] })),
    );
    expect(Object.keys(bundles[0]?.manifest.patterns ?? {})).toEqual(['head']);
    const image = Float32Array.from({ length: bundles[0]?.imageLength ?? 0 }, (_, i) => Math.sin(i));
    const encoded = await Promise.all(bundles.map((bundle) => bundle.encode([image], { pattern: 'head' })));
    expect(encoded[0]?.[0]?.features).toEqual(encoded[1]?.[0]?.features);
    for (const bundle of bundles) await bundle.release();
  });

  it('goes on from a bundle, as the bundle says', { timeout: 120_000 }, async () => {
    const from = ['--model', 'nested', ...data, '--config', 'settings.json', ...cpu, ...tasks];
    const refused = await whet('train', ...from, '--mean', '0', '--levels', '1', '--run', 'never');
    expect(refused.err).toContain(
      '--levels, --mean: expected with an ONNX file; the bundle says how its model is read',
    );
    const trained = await whet('train', ...from, '--trainable', 'blocks:2', '--run', 'further', '--outer-steps', '4');
    expect(trained.code, trained.err).toBe(0);
    expect(trained.err).toContain('candidates: ');
    const other = await whet('export', 'further/last.safetensors', ...model, '--out', 'other');
    expect(other.err).toContain('expected the model nested/head.encode.onnx');
    const exported = await whet('export', 'further/last.safetensors', '--model', 'nested', '--out', 'again');
    expect(exported.code, exported.err).toBe(0);
    const [before, after] = await Promise.all(
      ['nested', 'again'].map((name) => loadBundle(join(root, name), { threads: 1, patterns: ['head'] })),
    );
    const image = Float32Array.from({ length: after?.imageLength ?? 0 }, (_, i) => Math.sin(i));
    // No start weights were learned this time: features are those of the bundle that it went on from.
    const [one, two] = await Promise.all([before, after].map((bundle) => bundle?.encode([image], { pattern: 'head' })));
    two?.[0]?.features.forEach((value, i) => {
      expect(Math.abs(value - (one?.[0]?.features[i] as number))).toBeLessThan(1e-5);
    });
    expect(after?.manifest.preprocessing).toEqual(before?.manifest.preprocessing);
    for (const bundle of [before, after]) await bundle?.release();
  });

  it('is reported', { timeout: 60_000 }, async () => {
    const { code, err } = await whet('report', 'once');
    expect(code, err).toBe(0);
    const page = await readFile(join(root, 'once/report.html'), 'utf8');
    for (const text of ['Where to learn in model.onnx', 'far (0.5)', 'plain', 'c.conv2.weight', 'channels move']) {
      expect(page).toContain(text);
    }
    expect(page.match(/<script|NaN|undefined|\[object/)?.[0]).toBeUndefined();
  });

  it.each(['weight', 'tensor', 'block'])('learns masks per %s', { timeout: 60_000 }, async (granularity) => {
    const run = `per-${granularity}`;
    const trained = await train(
      '--mask-granularity',
      granularity,
      '--ways',
      '3',
      '--shots',
      '2',
      '--outer-steps',
      '2',
      '--run',
      run,
    );
    expect(trained.err).toContain(`masks per ${granularity}`);
    const exported = await whet('export', `${run}/last.safetensors`, ...model, '--out', `bundle-${run}`);
    expect(exported.out).toContain('default: auto');
  });

  it('splits by class what comes without splits, and keeps the seed of that with the run', async () => {
    const few = ['--ways', '2', '--shots', '2', '--queries', '2', '--inner-steps', '1', '--outer-steps', '1'];
    const own = ['--data', 'plain', '--split-seed', '3', '--run', 'own', '--trainable', 'blocks:1', ...cpu];
    const { code, err } = await whet('train', ...model, ...own, ...few, '--config', 'narrow.json');
    expect(code, err).toBe(0);
    expect(err).toMatch(/^own: training on plain\n/m);
    const said = (split: string) =>
      new RegExp(`plain: split by class \\(seed 3\\): ${split} has 2: (.*)`).exec(err)?.[1]?.split(', ') ?? [];
    const names = [80, 81, 82, 83].map((number) => `class-${number}`);
    expect([...said('train'), ...said('validation')].sort()).toEqual(names);
    expect((await modelRunConfigOf(join(root, 'own', 'last.safetensors')))?.splitSeed).toBe(3);
  });

  it('goes on at half the rates where steps diverge', async () => {
    await writeFile(join(root, 'wild.json'), JSON.stringify({ ...gratingSettings, rateRate: 300 }));
    const few = ['--ways', '3', '--shots', '2', '--queries', '2', '--inner-steps', '2', '--outer-steps', '3'];
    const { code, err } = await train('--config', 'wild.json', ...few, '--run', 'wild');
    expect(err).toMatch(/note: outer step 2: .*; the outer rates are halved \(1\/2 of the settings'\), .* from step 0/);
    expect(code, err).toBe(0);
  });

  it('says which option is not for it', async () => {
    const cases: [string[], string][] = [
      [
        [...model, '--data', 'near', '--rule', 'maml', '--order', '2'],
        '--rule, --order 2: expected without --model, which learns masks and rates by first-order gradients',
      ],
      [
        [...model, '--data', 'near', '--stream', '2', '--remember', '1'],
        '--stream, --remember: expected without --model',
      ],
      [[...model, '--data', 'near', '--shots', '1', '5'], '--shots: expected one number or range with --model'],
      [['--data', 'near', '--data', 'far'], '--data: expected one place; several are for --model'],
      [['--data', 'near', '--ways', '5-3'], 'expected a range from less to more, such as 3-5.'],
      [['--data', 'near', '--ways', '3-5'], '--ways 3-5: expected one number; a range is for --model'],
      [['--data', 'near', '--trainable', 'all', '--validate', 'far'], '--trainable, --validate: expected --model'],
      [[...model, '--data', 'near', '--resume'], '--resume: expected --run'],
      [[...model, '--data', 'near:0'], 'data "near:0": expected a weight above 0, got 0'],
      [[...model, '--data', 'far', '--resume', '--run', 'once'], "--data: expected the run's near, far, got far"],
      [[...model, '--data', 'near', '--run', 'once'], 'exists; go on with --resume'],
    ];
    for (const [args, message] of cases) {
      const { code, err } = await whet('train', ...args);
      expect(err).toContain(message);
      expect(code).toBe(1);
    }
  });

  it('says what of a model, data or a checkpoint does not fit, before it trains', { timeout: 60_000 }, async () => {
    await writeFile(join(root, 'four.onnx'), networkOf(residual));
    await writeFile(join(root, 'other.onnx'), networkOf(residual, true, 3));
    const cases: [string[], string][] = [
      [[...model, '--trainable', 'blocks:9'], 'the network has 3 blocks below the head'],
      [[...model, '--trainable', 'none'], 'expected parameters below the head that may move, got none'],
      [[...model, '--learn-weights', 'all'], 'weights to learn: expected some of the candidates, got "stem.weight"'],
      [[...model, '--budget-ms', '0.000001'], 'expected a block within it, got'],
      [[...model, '--budget-mb', '0.000001'], 'budget of 0.000001 MB: expected a block within it, got'],
      [[...model, '--ways', '7'], 'expected at least 7 classes for 7 ways, got 6'],
      [[...model, '--shots', '7', '--queries', '2'], 'expected at least 9 images for 7 shots and 2 queries, got 8'],
      [[...model, '--images-per-class', '3'], 'expected at least 10 images for 5 shots and 5 queries, got 3'],
      [['--model', 'four.onnx'], 'expected a model of 1 or 3 channels, as pictures have, got 4'],
      [
        [...model, '--ways', '3', '--shots', '2', '--inner-rate', '1e30', '--config', 'settings.json'],
        'is NaN; lower the outer or the inner rate',
      ],
      [['--model', 'nothing.onnx'], 'nothing.onnx: expected an ONNX model, or a bundle, got no such file'],
      [
        ['--model', join(bundlesDirectory, OMNIGLOT_BUNDLE)],
        'expected a bundle of an ONNX model with a pattern that moves the head alone',
      ],
    ];
    for (const [args, message] of cases) {
      const { code, err } = await whet(
        'train',
        '--data',
        'near',
        ...args,
        '--outer-steps',
        '1',
        '--run',
        'refused',
        ...cpu,
      );
      expect(err).toContain(message);
      expect(code).toBe(1);
    }
    const unreported = await whet('report', 'nowhere');
    expect(unreported.err).toContain('--data: expected the folder of the images that the run is of');
    const elsewhere = await whet('export', 'once/last.safetensors', '--model', 'other.onnx', '--out', 'x');
    expect(elsewhere.err).toContain('expected the model model.onnx (SHA-256 ');
    expect((await whet('export', 'once/last.safetensors', '--out', 'x')).err).toContain(
      'expected --model, the ONNX file',
    );
    const views = await whet('export', 'once/last.safetensors', ...model, '--views', '--out', 'x');
    expect(views.err).toContain('--views: expected without --model; --pattern NAME=SELECTION adds patterns');
  });

  it('stops while it encodes, and keeps nothing that is not whole', { timeout: 60_000 }, async () => {
    const before = process.listenerCount('SIGINT');
    const going = whet('train', '--model', 'other.onnx', '--data', 'near', '--run', 'stopped', ...cpu);
    await untilSo(going, async () => process.listenerCount('SIGINT') > before);
    process.emit('SIGINT', 'SIGINT');
    const { code, err } = await going;
    expect(err).toContain('stopped before the first step; what was encoded whole is kept');
    expect(code).toBe(1);
    const cached = await readdir(join(root, 'cache/whet'));
    expect(cached.filter((name) => !name.endsWith('.features'))).toEqual([]);
  });
});
