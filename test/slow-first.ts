import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take ten seconds or more beside others, the slowest first: where no run before says how long files take, Vitest begins with the
 * longest text.
 */
const SLOW = [
  'page-camera',
  'install',
  'page-keep',
  'other-browsers',
  'page-files',
  'page-states',
  'examples',
  'page-profiles',
  'page-webgpu',
  'page',
  'page-bad-input',
  'parity-webgpu',
  'attacks',
  'train-model',
  'page-phone',
  'page-policy',
  'server-operations',
  'stores',
  'quickstart',
  'parity-cpu',
  'blocks',
  'compile-support',
  'crash',
  'cli-search',
  'solve',
  'network-bundle',
  'hostile-models',
  'cli-freeze',
  'web-runtime',
  'cli-bench',
  'doctor',
  'kept-head-network',
  'cli-evaluate',
  'inner-steps',
  'gpu-report',
  'recipes',
  'attack-stores',
  'rules',
  'web-entry',
  'shipped-bundle',
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
