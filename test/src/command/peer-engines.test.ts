import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clearRun, readEngines, startEngine } from '@whet/tools/bench/peer-engine';
import { readPeer } from '@whet/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-engines-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('wants a name and a Python of each engine', () => {
  expect(readEngines(['pytorch=a/python', 'litert=b=c'])).toEqual([
    ['pytorch', 'a/python'],
    ['litert', 'b=c'],
  ]);
  expect(() => readEngines([])).toThrow('expected --engine NAME=PYTHON, one or more');
  for (const text of ['pytorch', 'pytorch=', '=python'])
    expect(() => readEngines([text])).toThrow(
      `--engine ${text}: expected NAME=PYTHON, such as pytorch=VENV/bin/python`,
    );
});

it('removes what a run before wrote, and nothing else', async () => {
  const out = join(folder, 'out');
  for (const name of ['tasks/old', 'conv4', 'own']) await mkdir(join(out, name), { recursive: true });
  await clearRun(out, ['conv4', 'lite0']);
  expect(await readdir(out)).toEqual(['own']);
});

it('says how an engine ended that should have answered', async () => {
  const engine = startEngine('beads', process.execPath, ['-e', 'process.exit(3)'], 'none.json');
  await expect(engine.open('00-net')).rejects.toThrow(/^beads: expected "00-net", got the end: .* ended with code 3$/);
  await expect(engine.record()).rejects.toThrow(/^beads: .* ended with code 3$/);
});

const peers = fileURLToPath(new URL('../../../tools/peers', import.meta.url));

/** Runs `tools/peers/run.py` with an engine of this test, whose losses are NaN in one of two tasks. */
function runPy(...args: string[]): Promise<{ code: number; err: string }> {
  const program = [
    `import sys, types; sys.path.insert(0, ${JSON.stringify(peers)}); sys.dont_write_bytecode = True; import run`,
    'names = lambda folder: dict(network=folder.name, pattern="head", ways=2, shots=1, steps=1)',
    'sys.modules["task"] = types.SimpleNamespace(Task=lambda folder: types.SimpleNamespace(names=names(folder)))',
    'adapt = lambda task: sum(range(10 ** 5)) and [1.0, float("nan") if task.names["network"] == "a" else 0.5]',
    'run.ENGINES["pytorch"] = lambda: ("beads", "1", lambda task, threads: lambda: adapt(task))',
    'run.main()',
  ].join('\n');
  return new Promise((resolve) => {
    execFile('python3', ['-c', program, 'pytorch', ...args], { cwd: folder }, (error, _, err) => {
      resolve({ code: error ? Number(error.code) : 0, err });
    });
  });
}

const hasPython = await new Promise((resolve) => execFile('python3', ['--version'], (error) => resolve(!error)));

it.skipIf(!hasPython)('run.py keeps what it measured where one task has losses that are no numbers', async () => {
  for (const name of ['a', 'b']) {
    await mkdir(join(folder, 'tasks', name), { recursive: true });
    await writeFile(join(folder, 'tasks', name, 'task.json'), '{}');
  }
  const { code, err } = await runPy('tasks', '--out', 'beads.json', '--runs', '2', '--warm-up', '0');
  expect(code, err).toBe(0);
  expect(err).toContain('not taken: a: losses [1.0, nan] are not all finite');
  const { results, machine } = await readPeer(join(folder, 'beads.json'));
  expect(results).toMatchObject([{ network: 'b', losses: [1, 0.5] }]);
  expect(machine.cpu).toBe(cpus()[0]?.model.trim() || 'unknown');
  expect((await readdir(folder)).filter((name) => name.includes('beads'))).toEqual(['beads.json']);
  expect(JSON.parse(await readFile(join(folder, 'beads.json'), 'utf8')).engine).toBe('beads');
});

it.skipIf(!hasPython)('run.py refuses what it could not write, or does not run, before it begins', async () => {
  const told = await runPy('tasks', '--out', 'no/dir/x.json');
  expect(told.code).toBe(2);
  expect(told.err).toContain('--out no/dir/x.json: expected a file in a folder that can be written to');
  expect((await runPy('tasks', '--out', 'x.json', '--runs', '0')).err).toContain('expected 1 or more, got 0');
});
