import { describe, expect, it } from 'vitest';
import { withRelease, withVersion } from './versions.js';

describe('a release', () => {
  it('gives all packages one version, wherever one needs another, and no other package', () => {
    const before = {
      name: '@whet/server',
      version: '0.6.0',
      dependencies: { '@whet/runtime': '0.6.0', express: '^5.0.0' },
      peerDependencies: { '@whet/page': '0.6.0' },
    };
    const after = withVersion(JSON.stringify(before), '0.7.0-rc.1', new Set(['@whet/runtime', '@whet/page']));
    expect(JSON.parse(after)).toEqual({
      name: '@whet/server',
      version: '0.7.0-rc.1',
      dependencies: { '@whet/runtime': '0.7.0-rc.1', express: '^5.0.0' },
      peerDependencies: { '@whet/page': '0.7.0-rc.1' },
    });
    expect(() => withVersion('{}', 'next', new Set())).toThrow('release: expected a version such as 1.2.3, got "next"');
  });

  it('puts what is unreleased under its version', () => {
    const changelog = '# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.6.0, 2026-01-01\n\n- Old.\n';
    expect(withRelease(changelog, '0.7.0', '2026-02-02')).toBe(
      '# Changelog\n\n## Unreleased\n\n## 0.7.0, 2026-02-02\n\n- New.\n\n## 0.6.0, 2026-01-01\n\n- Old.\n',
    );
    const nothing = 'CHANGELOG.md: expected what is new under "## Unreleased", got nothing';
    expect(() => withRelease(changelog.replace('- New.\n', ''), '0.7.0', '2026-02-02')).toThrow(nothing);
    expect(() => withRelease('# Changelog\n', '0.7.0', '2026-02-02')).toThrow(nothing);
  });
});
