import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Builds before the tests: processes that they start run what was built, and so does the page. Incremental, a second where nothing changed. What
 * tests leave in the temporary folder is gone after them.
 */
export default function build(): () => void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: new URL('..', import.meta.url), stdio: 'inherit' });
  const folder = mkdtempSync(join(tmpdir(), 'whet-tests-'));
  // As the machine's: servers that tests start run as other users.
  chmodSync(folder, 0o1777);
  process.env['TMPDIR'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
