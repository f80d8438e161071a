import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, InputError, type Manifest } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileBytes } from '../compile/compile-helpers.js';
import { photographs } from './photographs.js';

const { model, pictures } = photographs(5);

let bundle: Bundle;
/** The same without the graphs of heads in closed form. */
let stepping: Bundle;
beforeAll(async () => {
  const patterns = { all: ['all'], head: ['none'], last: ['last:1'] };
  const { directory } = await compileBytes(model, { patterns, rate: 0.01 });
  bundle = await loadBundle(directory);
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Pick<Manifest, 'patterns'>;
  for (const { graphs } of Object.values(manifest.patterns)) Reflect.deleteProperty(graphs, 'solve');
  await writeFile(path, JSON.stringify(manifest));
  stepping = await loadBundle(directory);
});
afterAll(async () => {
  await bundle.release();
  await stepping.release();
});

const queries = pictures({ a: 5 }).map(({ image }) => image);

describe('auto', () => {
  it('asks about a head in closed form, and one of views too where the network does not tell them', async () => {
    const examples = pictures({ a: 5, b: 5, c: 5 });
    const { profile, auto, why, heldBack, solved, losses } = await bundle.adapt(examples, { pattern: 'auto' });
    const [start, head, viewed, ...more] = auto?.trials ?? [];
    expect(start).toMatchObject({ pattern: 'head', steps: 0, solved: false, withViews: 0, heldBack: { asked: 15 } });
    expect(start?.views).toMatchObject({ asked: 18 });
    expect(head).toMatchObject({ pattern: 'head', steps: 0, solved: true, withViews: 0, heldBack: { asked: 15 } });
    expect(start?.views?.loss).toBeGreaterThan(0.045);
    expect(viewed).toMatchObject({ pattern: 'head', steps: 0, solved: true, withViews: 6, heldBack: { asked: 15 } });
    expect(more).toEqual([]);
    expect(auto?.reason).toMatch(/^views of the examples have a loss of \d+\.\d+, of which a head was made too$/);
    expect(why).toEqual({ code: 'tried-head-of-views', loss: auto?.trials[0]?.views?.loss, leavesNothing: false });
    expect([profile.pattern, profile.steps, solved, losses]).toEqual(['head', 0, true, []]);
    const best = auto?.trials.reduce((a, b) => ((b.heldBack?.loss ?? 0) <= (a.heldBack?.loss ?? 0) ? b : a));
    expect(heldBack?.asked).toBe(best?.heldBack?.asked);
  });

  it('tries patterns from the one that moves least where heads are none in closed form', async () => {
    const examples = pictures({ a: 5, b: 5, c: 5 });
    const { profile, auto, heldBack, losses, loss } = await stepping.adapt(examples, { pattern: 'auto' });
    expect(auto?.trials[0]).toMatchObject({ pattern: 'head', steps: 0, solved: false });
    const tried = auto?.trials.slice(1).map(({ pattern }) => pattern) ?? [];
    expect(['head', 'last', 'all'].slice(0, tried.length)).toEqual(tried);
    expect(tried.length).toBeGreaterThan(1);
    expect(auto?.reason).toBeTruthy();
    expect(heldBack?.asked).toBeGreaterThanOrEqual(6);
    if (loss !== undefined) expect(loss).toBeLessThanOrEqual((losses[0] as number) * (1 + 1e-5) + 1e-6);
    const steps = profile.steps === 0 ? { steps: 0 } : {};
    const directly = await stepping.adapt(examples, { pattern: profile.pattern, ...steps });
    // All but the temperature of its probabilities.
    const [mine, theirs] = [profile.values, directly.profile.values];
    const largest = (values: typeof mine) => Math.max(...(values.get('head.weight')?.data ?? []).map(Math.abs));
    const temperature = largest(theirs) / largest(mine);
    for (const [name, { data }] of theirs) {
      const by = name.startsWith('head.') ? temperature : 1;
      for (const [i, value] of (mine.get(name)?.data ?? []).entries())
        expect(value * by).toBeCloseTo(data[i] as number, 3);
    }
  });

  it('takes no step that it did not try, also where every pattern moves something below the head', async () => {
    const { directory } = await compileBytes(model, { patterns: { last: ['last:1'] } });
    const moving = await loadBundle(directory);
    const { profile, auto, losses } = await moving.adapt(pictures({ a: 5, b: 5 }), { pattern: 'auto' });
    expect(auto?.trials.map(({ steps }) => steps)).toEqual([0, 0, 0]);
    expect([profile.pattern, profile.steps, losses]).toEqual(['last', 0, []]);
    const alone = await moving.adapt(pictures({ a: 1, b: 1 }), { pattern: 'auto' });
    expect(alone.auto?.reason).toMatch(/, from which steps can learn$/);
    expect(alone.losses).toHaveLength(10);
    await moving.release();
  });

  it('is the start where no steps are asked for', async () => {
    const examples = pictures({ a: 5, b: 5 });
    const { auto, solved, heldBack, profile } = await bundle.adapt(examples, { pattern: 'auto', steps: 0 });
    expect([auto?.reason, solved, auto?.trials.length]).toEqual(['no steps were asked for', false, 1]);
    const directly = await bundle.adapt(examples, { pattern: 'head', steps: 0 });
    expect(heldBack).toEqual(directly.heldBack);
    expect(profile.values).toEqual(directly.profile.values);
  });

  it('asks views of one example of each class, however many views there are', async () => {
    const examples = pictures({ a: 5, b: 5, c: 5 });
    const [own, given] = [{ pattern: 'auto' }, { pattern: 'auto', views: 6 }];
    const reports = [await bundle.adapt(examples, own), await bundle.adapt(examples, given)];
    const [one, other] = reports.map(({ auto }) => auto?.trials[0]?.views);
    expect(one?.asked).toBe(18);
    expect(other).toEqual(one);
  });

  it('takes no step within a budget of no time, and says why', async () => {
    const { profile, auto, why } = await bundle.adapt(pictures({ a: 3, b: 3 }), { pattern: 'auto', budgetMs: 0 });
    expect([profile.pattern, profile.steps]).toEqual(['head', 0]);
    expect(auto?.trials).toHaveLength(1);
    expect(auto?.reason).toBe('the budget of 0 ms is spent');
    expect(why).toEqual({ code: 'budget-spent', budgetMs: 0 });
  });

  it('is decided by views where each class has one example', async () => {
    const { profile, auto, heldBack } = await bundle.adapt(pictures({ a: 1, b: 1, c: 1 }), { pattern: 'auto' });
    expect(heldBack).toBeUndefined();
    expect(auto?.trials.map(({ solved }) => solved)).toEqual([false, true]);
    expect(auto?.trials[0]?.views?.asked).toBe(18);
    expect(auto?.reason).toMatch(/^views of the examples have a loss of \d+\.\d+, /);
    expect(profile.examples).toEqual([1, 1, 1]);
  });

  it.each<[string, ReturnType<typeof pictures>]>([
    ['one example of a class beside ten of others', pictures({ a: 1, b: 10, c: 10 })],
    ['the same picture under two names', pictures({ a: 4 }).flatMap((each) => [each, { ...each, label: 'b' }])],
    ['two examples in all', pictures({ a: 1, b: 1 })],
    ['one class twice', pictures({ a: 2, b: 1 })],
  ])('ends, with values that are numbers: %s', async (_, examples) => {
    const { profile, auto } = await bundle.adapt(examples, { pattern: 'auto' });
    expect(auto?.trials.length).toBeGreaterThan(0);
    const [first] = await bundle.predict(profile, queries);
    expect(Object.values(first?.probabilities ?? {}).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
  });

  it('is no pattern to go on from a profile with, nor the name of one', async () => {
    const examples = pictures({ a: 2, b: 2 });
    const { profile } = await bundle.adapt(examples, { pattern: 'head' });
    const again = bundle.adapt(examples, { pattern: 'auto', from: profile });
    await expect(again).rejects.toThrow(
      new InputError('pattern', 'expected "head", that of the profile to go on from, got "auto"'),
    );
    await expect(compileBytes(model, { patterns: { auto: ['none'] } })).rejects.toThrow(
      'asks for a pattern to be chosen',
    );
  });

  it.each([-1, Number.NaN])('refuses a budget of %s ms', async (budgetMs) => {
    const adapted = bundle.adapt(pictures({ a: 2, b: 2 }), { pattern: 'auto', budgetMs });
    await expect(adapted).rejects.toThrow(`expected milliseconds, 0 or more, got ${budgetMs}`);
  });

  it('stops where it is told to', async () => {
    const signal = AbortSignal.abort(new Error('told to'));
    await expect(bundle.adapt(pictures({ a: 2, b: 2 }), { pattern: 'auto', signal })).rejects.toThrow('told to');
  });
});

describe('what is held back', () => {
  it('counts the examples that are right by classes made without them', async () => {
    const examples = pictures({ a: 4, b: 4, c: 1 });
    const { heldBack } = await bundle.adapt(examples, { pattern: 'head', steps: 0 });
    expect(heldBack?.asked).toBe(8);
    let right = 0;
    for (const [i, { label, image }] of examples.slice(0, 8).entries()) {
      const { profile } = await bundle.adapt(
        examples.filter((_, at) => at !== i),
        { pattern: 'head', steps: 0 },
      );
      const [answer] = await bundle.predict(profile, [image]);
      if (answer?.label === label) right++;
    }
    expect(heldBack?.right).toBe(right);
  });

  it('is not told where no class has two examples', async () => {
    expect((await bundle.adapt(pictures({ a: 1, b: 1 }))).heldBack).toBeUndefined();
  });
});

describe('steps by prototypes', () => {
  it('are refused of a bundle that has no graph to tell their loss', async () => {
    const { directory } = await compileBytes(model, { patterns: { last: ['last:1'] } });
    const path = join(directory, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as { patterns: { last: { graphs: object } } };
    Reflect.deleteProperty(manifest.patterns.last.graphs, 'leftOut');
    await writeFile(path, JSON.stringify(manifest));
    await expect(loadBundle(directory)).rejects.toThrow(/"last": graphs\.leftOut: expected one, for the objective/);
  });

  it('take none where there is nothing to ask about', async () => {
    const { losses, loss, profile } = await bundle.adapt(pictures({ a: 1, b: 1 }), { pattern: 'last', views: 0 });
    expect([losses, loss, profile.values.has('w2')]).toEqual([[], undefined, true]);
  });

  it('ask about views of examples that are alone', async () => {
    const { losses, loss } = await bundle.adapt(pictures({ a: 1, b: 1 }), { pattern: 'last' });
    expect(losses).toHaveLength(10);
    expect(loss).toBeLessThanOrEqual(losses[0] as number);
  });

  it('go on from a profile, with classes that have no new example', async () => {
    const { profile } = await bundle.adapt(pictures({ a: 3, b: 3 }), { pattern: 'last' });
    const more = await bundle.adapt(pictures({ b: 2, c: 2 }), { from: profile });
    expect(more.profile.classes).toEqual(['a', 'b', 'c']);
    expect(more.profile.examples).toEqual([3, 5, 2]);
  });
});
