import type { BackendName, Probe } from '@whet/trainer';
import { Command, Option } from 'commander';
import { count } from '../arguments.js';
import { formatTable, milliseconds } from '../format.js';
import { installedRows } from '../installed.js';
import { startProgress } from '../progress.js';

interface DoctorOptions {
  readonly backend?: string[];
  readonly threads?: number;
  readonly json?: boolean;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'List what is installed, where training can run on this machine, why not elsewhere, and how fast each backend is.',
    )
    .option('--backend <names...>', 'only these, such as ort-cpu or tfjs-webgpu')
    .option('--threads <n>', 'threads of onnxruntime', count)
    .addOption(new Option('--json', 'print JSON'))
    .action(runDoctor);
}

async function runDoctor(options: DoctorOptions): Promise<void> {
  // Before what does not load where something is missing.
  if (!options.json) {
    const installed = formatTable(['package', 'version', 'for'], installedRows());
    process.stdout.write(`Node.js ${process.version.slice(1)}, ${process.platform} ${process.arch}\n${installed}\n\n`);
  }
  const { backendNames, probeBackend, TRIAL_TOLERANCE } = await import('@whet/trainer');
  const asked = options.backend ?? [...backendNames];
  const unknown = asked.filter((name) => !(backendNames as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new Error(`--backend: expected of ${backendNames.join(', ')}, got "${unknown.join(', ')}"`);
  }
  const progress = startProgress('doctor', asked.length);
  const probes: Probe[] = [];
  // One after the other, so that they are timed on an idle machine.
  for (const name of asked as BackendName[]) {
    progress.update(probes.length, name);
    const threads = options.threads ? { threads: options.threads } : {};
    probes.push(await probeBackend(name, { measure: true, ...threads }));
  }
  progress.update(probes.length, '');
  progress.stop();
  process.stdout.write(options.json ? `${JSON.stringify(probes, null, 2)}\n` : describe(probes, TRIAL_TOLERANCE));
}

function describe(probes: readonly Probe[], tolerance: number): string {
  const rows = probes.map((probe) => {
    if (!probe.usable) return [probe.name, 'not usable', '', '', '', ''];
    const { name, device, version, trial } = probe;
    if (!trial) return [name, device, version, '', '', ''];
    const error = `${trial.error.toExponential(0)}${trial.error <= tolerance ? '' : ' WRONG'}`;
    return [name, device, version, milliseconds(trial.compile + trial.firstRun), milliseconds(trial.run), error];
  });
  const reasons = probes.flatMap((probe) => (probe.usable ? [] : [`${probe.name}: ${probe.reason}.`]));
  return [
    formatTable(['backend', 'device', 'library', 'first run', 'a run', 'off by'], rows),
    'A run is one second-order meta-gradient of a small Conv4 (5-way 1-shot, 16 x 16 pixels, 8 channels, 2 inner steps);',
    `"off by" is relative to the float64 reference, and more than ${tolerance} is wrong.`,
    ...(reasons.length > 0 ? ['', ...reasons] : []),
    '',
  ].join('\n');
}
