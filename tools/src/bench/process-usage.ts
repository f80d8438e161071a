import { readFile } from 'node:fs/promises';

/** What a process has taken. */
export interface ProcessUsage {
  /** Processor time of all of its threads, those that ended too. */
  readonly seconds: number;
  /** Resident memory. */
  readonly bytes: number;
}

/** Of `/proc/PID/stat` and `status`: Linux counts in hundredths of a second there. */
export function usageOf(stat: string, status: string): ProcessUsage {
  // Behind the program's name, which may hold spaces and brackets: the state is the third field, the times are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const seconds = (Number(fields[11]) + Number(fields[12])) / 100;
  return { seconds, bytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024 };
}

/** Of a process that runs. On Linux. */
export async function processUsage(pid: number): Promise<ProcessUsage> {
  const [stat, status] = await Promise.all(['stat', 'status'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8')));
  return usageOf(stat as string, status as string);
}
