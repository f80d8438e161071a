import { defaultThreads } from '@whet/runtime/node';
import { ortBackend } from '@whet/trainer';
import { afterEach, describe, expect, it, vi } from 'vitest';

describe('threads of onnxruntime-node', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('are those of WHET_THREADS where none are given', () => {
    vi.stubEnv('WHET_THREADS', '3');
    expect(defaultThreads()).toBe(3);
    expect(ortBackend().device).toContain('3 threads');
    expect(ortBackend({ threads: 2 }).device).toContain('2 threads');
  });

  it('are left to onnxruntime without it', () => {
    vi.stubEnv('WHET_THREADS', '');
    expect(defaultThreads()).toBeUndefined();
  });

  it.each(['0', '-1', '1.5', 'many'])('refuses %s', (text) => {
    vi.stubEnv('WHET_THREADS', text);
    expect(() => ortBackend()).toThrow(`WHET_THREADS: expected a whole number of 1 or more, got "${text}"`);
  });
});
