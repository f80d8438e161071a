import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take a quarter of a minute of processor time or more, the slowest first; then slow ones that are short, which would come last
 * where no run before says how long files take: Vitest begins with the longest text.
 */
const SLOW = [
  'page-camera',
  'install',
  'quickstart',
  'inner-steps',
  'page-profiles',
  'parity-webgpu',
  'page',
  'page-files',
  'examples',
  'blocks',
  'hostile-models',
  'attacks',
  'train-model',
  'page-webgpu',
  'page-keep',
  'parity-cpu',
  'page-bad-input',
  'page-policy',
  'server-operations',
  'cli-bench',
  'network-bundle',
  'rules',
  'doctor',
  'web-entry',
  'crash',
  'shipped-bundle',
  'gpu-report',
  'attack-stores',
];

/**
 * Before all of them: in a process in which onnxruntime's WebAssembly has run, a thread that throws takes 25 to 40 s until it has ended, which
 * this file waits for. The service never has both.
 */
const FIRST = '/server/src/engine/engine-thread.test.ts';

/** Begins with the slowest files, so that at the end no worker waits long for another. */
export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      if (moduleId.endsWith(FIRST)) return -1;
      const at = SLOW.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`) && moduleId.includes('/test/src/'));
      return at < 0 ? SLOW.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
