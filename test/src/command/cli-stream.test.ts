import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photographs } from '../bundle/photographs.js';
import { writeGratings } from './drawn-classes.js';
import { runWhet } from './whet-process.js';

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'whet-cli-stream-'));
  await writeFile(join(cwd, 'plain.onnx'), photographs(3).model);
  await writeGratings(join(cwd, 'data'), { test: 6 }, { images: 6 });
  await writeGratings(join(cwd, 'days'), { day1: 2 }, { images: 3, first: 50 });
  await writeGratings(join(cwd, 'days'), { day2: 2 }, { images: 3, first: 52 });
  const patterns = ['--pattern', 'head=none', '--pattern', 'last=last:1', '--rate', '0.01'];
  const { code, err } = await runWhet(cwd, ['compile', 'plain.onnx', '--out', 'b', ...patterns]);
  expect([code, err]).toEqual([0, '']);
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

/** What `whet adapt` prints. */
async function adapt(day: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await runWhet(cwd, ['adapt', 'b', '--examples', join('days', day), ...args]);
  expect(code, err).toBe(0);
  return out;
}

const stream = (...args: string[]) =>
  runWhet(cwd, ['evaluate', 'b', '--data', 'data', '--ways', '2', '--shots', '3', '--queries', '3', ...args]);

describe('whet adapt --from', () => {
  it('goes on from a profile, beside what that remembers', async () => {
    const first = await adapt('day1', '--out', '1.profile', '--pattern', 'head', '--remember', '3');
    expect(first).toMatch(/^6 examples of 2 classes, pattern head, 0 steps, head solved for: /);
    const second = await adapt('day2', '--out', '2.profile', '--from', '1.profile');
    expect(second).toMatch(/^6 examples of 4 classes, pattern head, 0 steps, head solved for: /);
    expect(second).toMatch(/12 examples right when asked about unseen/);
    expect(second).toContain('added to the profile’s classes: class-52, class-53');
  });

  it('names the option that asks for more of a memory than there may be, or of a pattern that has none', async () => {
    const asked = ['adapt', 'b', '--examples', 'days/day1', '--out', 'x'];
    const many = await runWhet(cwd, [...asked, '--pattern', 'head', '--remember', '300']);
    expect(many.err).toBe(
      'whet: --remember: expected at most 250 in all, half of the examples of an adaptation, got 300 of each of 2 classes\n',
    );
    await runWhet(cwd, ['compile', 'plain.onnx', '--out', 'all', '--pattern', 'all=all']);
    const whole = await runWhet(cwd, ['adapt', 'all', '--examples', 'days/day1', '--out', 'x', '--remember', '1']);
    expect(whole.err).toMatch(/^whet: --remember: expected 0, or a pattern with a frozen part, got 1 of "all"/);
  });

  it('refuses a profile with a memory of another bundle', async () => {
    await adapt('day1', '--out', 'kept.profile', '--pattern', 'head', '--remember', '2');
    await runWhet(cwd, ['compile', 'plain.onnx', '--out', 'other', '--rate', '0.02', '--pattern', 'head=none']);
    const on = ['adapt', 'other', '--examples', 'days/day2', '--from', 'kept.profile', '--out', 'x'];
    const { code, err } = await runWhet(cwd, on);
    expect([code, err]).toEqual([1, expect.stringMatching(/^whet: profile: made with another bundle: expected /)]);
    expect(
      (await runWhet(cwd, ['predict', 'days/day2', '--bundle', 'other', '--profile', 'kept.profile'])).err,
    ).toMatch(/profile: made with another bundle: expected /);
  });

  it('names a profile that is none', async () => {
    const { code, err } = await runWhet(cwd, ['adapt', 'b', '--examples', 'days/day1', '--from', 'b/manifest.json']);
    expect([code === 0, err]).toEqual([false, expect.stringContaining('profile: ')]);
    const none = await runWhet(cwd, ['adapt', 'b', '--examples', 'days/day1', '--from', 'nowhere']);
    expect(none.err).toContain('nowhere: expected a profile, got');
  });
});

describe('whet evaluate --stream', () => {
  it('says what a profile retains that goes on from stage to stage, with a memory and without', async () => {
    const asked = ['--stream', '3', '--tasks', '2', '--pattern', 'head', 'last', '--remember', '0', '3', '--json'];
    const { code, out, err } = await stream(...asked, '--html', 'stream.html');
    expect(code, err).toBe(0);
    const { rows, stages, streams } = JSON.parse(out);
    expect([stages, streams, rows.map(({ name }: { name: string }) => name)]).toEqual([
      3,
      2,
      ['head', 'head, remembers 3', 'last', 'last, remembers 3'],
    ]);
    for (const { known, retained, newest, forgotten, atOnce } of rows) {
      expect(known).toHaveLength(3);
      expect(known[2]).toEqual(retained);
      for (const { mean } of [retained, newest, atOnce]) {
        expect(mean).toBeGreaterThan(0);
        expect(mean).toBeLessThanOrEqual(1);
      }
      expect(forgotten.mean).toBeLessThanOrEqual(1);
    }
    const [plain, remembering] = rows;
    // All examples are remembered: the head is the one of all at once, but for its bytes.
    expect(Math.abs(remembering.retained.mean - remembering.atOnce.mean)).toBeLessThan(0.06);
    expect(remembering.profileBytes).toBeGreaterThan(plain.profileBytes);
    const page = await readFile(join(cwd, 'stream.html'), 'utf8');
    expect(page).toContain('b: 3 stages of 2 classes of data');
    expect(page).toContain('last, remembers 3');
  });

  it('prints tables, and what their columns are', async () => {
    const { code, out } = await stream('--stream', '2', '--tasks', '2', '--pattern', 'last', '--anchor', '0.5');
    expect(code).toBe(0);
    expect(out).toMatch(/│ row +│ all in the end │ +newest │ +forgotten │ +all at once │/);
    expect(out).toMatch(/│ all so far, of classes: │ +2 │ +4 │/);
    expect(out).toContain(
      '2 streams of the test classes: 2 stages of 2 new classes, 3 examples each, adapted to alone;',
    );
  });

  it.each([
    [['--stream', '4'], /whet: data, test: expected 8 classes for 4 stages of 2, got 6; --stream 3 would do/],
    [['--stream', '1'], /whet: --stream: expected 2 stages or more, got 1/],
    [['--stream=1'], /whet: --stream: expected 2 stages or more, got 1/],
    [['--stream', '2', '--ways', '1'], /expected one number with --stream, got 2 1/],
    [['--stream', '2', '--record'], /record: expected without --stream/],
    [
      ['--stream', '2', '--pattern', 'auto'],
      /whet: --pattern: expected one by its name, as profiles go on with it, got "auto"/,
    ],
    [
      ['--stream', '3', '--remember', '200'],
      /whet: --remember: head, remembers 200: expected at most 250 in all, half of the examples of an adaptation, got 200 of each of 6 classes/,
    ],
    [['--remember', '2'], /--remember: expected with --stream/],
    [['--anchor', '0.5'], /--anchor: expected with --stream/],
    [['--html', 'x.html'], /--html: expected with --stream/],
  ])('refuses %j', async (args, message) => {
    const { code, err } = await stream('--tasks', '1', ...args);
    expect(code).not.toBe(0);
    expect(err).toMatch(message);
  });

  it('refuses a stage of a single class, and more classes or examples than a bundle takes', async () => {
    const run = (...args: string[]) =>
      runWhet(cwd, ['evaluate', 'b', '--data', 'data', '--tasks', '1', '--queries', '1', ...args]);
    const one = await run('--stream', '3', '--ways', '1');
    expect(one.err).toContain('--ways: expected 2 or more, as the first stage has no others, got 1');
    await runWhet(cwd, ['compile', 'plain.onnx', '--out', 'small', '--max-classes', '5', '--max-examples', '10']);
    const small = (...args: string[]) =>
      runWhet(cwd, ['evaluate', 'small', '--data', 'data', '--tasks', '1', '--queries', '1', '--ways', '2', ...args]);
    expect((await small('--stream', '3', '--shots', '1')).err).toContain(
      'bundle "small": expected at most 5 classes, got 6, 3 stages of 2',
    );
    expect((await small('--stream', '2', '--shots', '5')).err).toContain(
      'bundle "small": expected at most 10 examples at once, got 20',
    );
  });
});
