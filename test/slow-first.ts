import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take a third of a minute or more, the slowest first. */
const SLOW = [
  'page-profiles',
  'parity-webgpu',
  'crash',
  'attacks',
  'page-bad-input',
  'page',
  'rules',
  'cli-bench',
  'doctor',
  'server-operations',
  'parity-cpu',
  'quickstart',
];

/** Begins with the slowest files, so that at the end no worker waits long for another. */
export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = SLOW.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`) && moduleId.includes('/test/src/'));
      return at < 0 ? SLOW.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
