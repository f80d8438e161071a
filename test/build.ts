import { execFileSync } from 'node:child_process';

/** Builds before the tests: processes that they start run what was built, and so does the page. Incremental, a second where nothing changed. */
export default function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: new URL('..', import.meta.url), stdio: 'inherit' });
}
