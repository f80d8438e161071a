/** The parts of a `package.json` that a release changes. */
interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

const VERSION = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

/**
 * The text of a `package.json` with another version, which those of `names` that it depends on get too: all packages have one version.
 * Throws where `version` is none.
 */
export function withVersion(text: string, version: string, names: ReadonlySet<string>): string {
  if (!VERSION.test(version)) throw new Error(`release: expected a version such as 1.2.3, got "${version}"`);
  const manifest = JSON.parse(text) as Manifest;
  manifest.version = version;
  for (const kind of ['dependencies', 'devDependencies', 'peerDependencies'] as const) {
    const needed = manifest[kind] ?? {};
    for (const name of Object.keys(needed)) if (names.has(name)) needed[name] = version;
  }
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** The changelog with what is unreleased under a version and its day. Throws where nothing is unreleased. */
export function withRelease(changelog: string, version: string, day: string): string {
  const [, unreleased = ''] = /^## Unreleased\n([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(changelog) ?? [];
  if (unreleased.trim() === '') {
    throw new Error('CHANGELOG.md: expected what is new under "## Unreleased", got nothing');
  }
  return changelog.replace('## Unreleased\n', `## Unreleased\n\n## ${version}, ${day}\n`);
}
