import { writeFile } from 'node:fs/promises';
import type { BenchBackendName, BenchRecord } from '@whet/trainer';
import { Command, Option } from 'commander';
import { collectCounts, collectTexts, count, defaultBundle, wholeNumber } from '../arguments.js';
import { benchMarkdown, benchTable, machineText } from '../bench/columns.js';
import { compareFiles } from '../bench/compare.js';
import { measureBench } from '../bench/measure.js';
import { writePeerTasks } from '../bench/peer-tasks.js';
import { besidePeers, readPeers } from '../bench/peers.js';
import { checkFolders } from '../check-folders.js';
import { dataHelp, skipCorruptHelp } from '../data.js';
import { formatTable } from '../format.js';
import { interruptible } from '../interrupt.js';
import { openCharts } from '../open-charts.js';

interface BenchOptions {
  readonly backend: BenchBackendName[];
  readonly ways: number;
  readonly shots?: number[];
  readonly steps?: number;
  readonly runs: number;
  readonly threads?: number;
  readonly floor: boolean;
  readonly memory?: boolean;
  readonly data?: string;
  readonly skipCorrupt?: boolean;
  readonly split: 'validation' | 'test';
  readonly tasks: number;
  readonly queries: number;
  readonly json?: string;
  readonly markdown?: string;
  readonly html?: string;
  readonly compare?: string[];
  readonly peer?: string[];
  readonly peerTask?: string;
}

export function benchCommand(): Command {
  return new Command('bench')
    .description('Time adaptation and prediction of every pattern of bundles, on noise images, within one run.')
    .argument('[bundle...]', 'folders or .whet files of bundles', [defaultBundle])
    .addOption(
      new Option('--backend <names...>', 'runtimes: onnxruntime-node, onnxruntime-web')
        .choices(['node', 'wasm'])
        .default(['node']),
    )
    .option('--ways <n>', 'classes', count, 5)
    .option('--shots <n...>', 'examples per class (1 and 5 when absent)', collectCounts)
    .option('--steps <n>', 'inner steps; each pattern’s own when absent', wholeNumber)
    .option('--runs <n>', 'timed runs of each, after 3 to warm up', count, 30)
    .option('--threads <n>', 'threads of onnxruntime-node (WebAssembly has one)', count)
    .option('--no-floor', 'leave out timing the matrix products alone')
    .option('--memory', 'also measure peak memory, each pattern in a process of its own')
    .option('--data <place>', `measure accuracies on ${dataHelp}`)
    .option('--skip-corrupt', skipCorruptHelp)
    .addOption(new Option('--split <name>', 'classes of --data').choices(['validation', 'test']).default('test'))
    .option('--tasks <n>', 'tasks of --data', count, 100)
    .option('--queries <n>', 'query images per class of --data', count, 15)
    .option('--json <file>', 'also write the figures as JSON')
    .option('--markdown <file>', 'also write the table as Markdown')
    .option('--html <file>', 'also write a page with a chart of accuracy against milliseconds')
    .option('--compare <files...>', 'measure nothing; print what changed between two files of --json')
    .option(
      '--peer <file>',
      'set results of another engine on the same tasks beside these; may be repeated',
      collectTexts,
    )
    .addOption(
      new Option(
        '--peer-task <dir>',
        'time nothing; write what another engine needs to take the same steps, a folder a task',
      ).conflicts(['compare', 'peer', 'json', 'markdown', 'html', 'memory', 'data']),
    )
    .action(runBench);
}

async function runBench(directories: string[], options: BenchOptions): Promise<void> {
  if (options.compare) return compareFiles(options.compare);
  if (options.peerTask !== undefined) return writePeerTasks(directories, options.peerTask, options);
  await checkFolders([options.json, options.markdown, options.html]);
  const peers = await readPeers(options.peer ?? []);
  if (options.html !== undefined) await openCharts();
  const { signal, stop } = interruptible();
  let record: BenchRecord;
  try {
    const { backend, memory = false, shots = [1, 5], ...others } = options;
    const settings = { ...others, memory, shots: [...new Set(shots)], backends: [...new Set(backend)] };
    record = await measureBench({ ...settings, bundles: [...new Set(directories)] }, signal);
  } finally {
    stop();
  }
  const { timedTaskOf } = await import('@whet/trainer');
  const beside = await besidePeers(
    record.results.map((each) => timedTaskOf(record, each)),
    peers,
  );
  if (record.results.length > 0) {
    const { head, rows, notes } = benchTable(record, beside);
    process.stdout.write(`${formatTable(head, rows)}\n${notes.join('\n')}\n${machineText(record)}\n`);
  }
  if (options.json) await (await import('@whet/trainer')).writeBench(options.json, record);
  if (options.markdown) await writeFile(options.markdown, benchMarkdown(record, beside));
  if (options.html)
    await writeFile(options.html, await (await import('../pages/bench-page.js')).benchPage(record, beside));
  for (const problem of record.problems) process.stderr.write(`whet: not measured: ${problem}\n`);
  if (record.results.length === 0) process.stderr.write('whet: nothing was measured\n');
  if (record.problems.length > 0 || record.results.length === 0) process.exitCode = 1;
}
