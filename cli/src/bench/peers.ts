import type { PeerComparison, PeerRecord, TimedTask } from '@whet/trainer';

/** What stands beside a table: a column for each file of another engine, and what has to be said of them. */
export interface PeerColumns {
  readonly heads: readonly string[];
  /** A cell of each file for each row. */
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

export const noPeers: PeerColumns = { heads: [], rows: [], notes: [] };

/** Files of other engines, in their order. Throws `BenchError` naming what does not fit. */
export async function readPeers(paths: readonly string[]): Promise<PeerRecord[]> {
  if (paths.length === 0) return [];
  const { readPeer } = await import('@whet/trainer');
  return Promise.all(paths.map(readPeer));
}

/** Milliseconds of the clock, and of the processor in brackets: `39.7 (78.9)`. */
export const bothTimes = (clock: number, processor: number | undefined): string =>
  processor === undefined ? clock.toFixed(1) : `${clock.toFixed(1)} (${processor.toFixed(1)})`;

function cellOf(comparison: PeerComparison | undefined): string {
  if (!comparison) return '-';
  const times = bothTimes(comparison.milliseconds, comparison.processor);
  switch (comparison.kind) {
    case 'same': {
      const { milliseconds, processor } = comparison.ratios;
      return `${times}: ${milliseconds.toFixed(2)}${processor === undefined ? '' : ` (${processor.toFixed(2)})`}`;
    }
    case 'another machine':
      return `${times}: another machine`;
    case 'losses not known':
    case 'threads not known':
      return `${times}: ${comparison.kind}`;
    case 'other losses': {
      const { at, expected, got } = comparison;
      return `${times}: other losses, after ${at} steps ${got.toPrecision(5)}, not ${expected.toPrecision(5)}`;
    }
  }
}

/** Sets files of other engines beside rows of Whet's. */
export async function besidePeers(own: readonly TimedTask[], peers: readonly PeerRecord[]): Promise<PeerColumns> {
  if (peers.length === 0) return noPeers;
  const { comparePeer, machineDifferences, peerTaskText } = await import('@whet/trainer');
  const notes = [
    'Beside other engines: ms of the clock, of the processor in brackets, encoding included; then Whet’s over the engine’s, above 1 is behind.',
  ];
  const names = new Set(own.map(({ task }) => peerTaskText(task)));
  for (const peer of peers) {
    const name = `${peer.engine} ${peer.version}`;
    const differences = new Set(own.flatMap(({ machine }) => machineDifferences(machine, peer.machine)));
    if (differences.size > 0) notes.push(`${name} is of another machine (${[...differences].join('; ')}).`);
    if (own.some(({ machine }) => machine.threads === undefined)) {
      notes.push(`${name} has ${peer.machine.threads} threads; say with --threads how many Whet is to have.`);
    }
    const others = peer.results.map(peerTaskText).filter((task) => !names.has(task));
    if (others.length > 0) notes.push(`${name}: not timed here: ${others.join('; ')}.`);
  }
  return {
    heads: peers.map(({ engine, version }) => `${engine} ${version}`),
    rows: own.map((each) => peers.map((peer) => cellOf(comparePeer(each, peer)))),
    notes,
  };
}
