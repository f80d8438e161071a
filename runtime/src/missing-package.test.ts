import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { MissingPackageError } from './missing-package.js';

const absent = 'an-engine-that-nobody-has';

describe('a package that is not installed', () => {
  it('is named with what needs it and what to run, imported or required', async () => {
    const hint = `drawing needs the package "${absent}", which is not installed: npm install ${absent}`;
    const imported = import(/* @vite-ignore */ absent).catch((error: Error) => {
      throw Object.assign(new Error(error.message), { code: 'ERR_MODULE_NOT_FOUND', message: `package '${absent}'` });
    });
    await expect(imported.catch(MissingPackageError.of(absent, 'drawing'))).rejects.toThrow(hint);
    const required = async () => createRequire(import.meta.url)(absent);
    await expect(required().catch(MissingPackageError.of(absent, 'drawing', 'make it'))).rejects.toThrow(
      'which is not installed: make it',
    );
  });

  it('is told from one without a library for this machine', async () => {
    const gone = Object.assign(new Error("Cannot find module '../bin/napi-v6/linux/x64/some_binding.node'"), {
      code: 'MODULE_NOT_FOUND',
    });
    await expect(Promise.reject(gone).catch(MissingPackageError.of(absent, 'drawing'))).rejects.toThrow(
      `drawing needs the package "${absent}", which has no library for ${process.platform} ${process.arch}`,
    );
  });

  it('is not blamed for another, or for its own fault', async () => {
    const other = Object.assign(new Error("Cannot find package 'another'"), { code: 'ERR_MODULE_NOT_FOUND' });
    await expect(Promise.reject(other).catch(MissingPackageError.of(absent, 'drawing'))).rejects.toBe(other);
    const fault = new TypeError('broken');
    await expect(Promise.reject(fault).catch(MissingPackageError.of(absent, 'drawing'))).rejects.toBe(fault);
  });
});
