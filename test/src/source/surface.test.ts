import * as runtime from '@whet/runtime';
import * as format from '@whet/runtime/format';
import { expect, it } from 'vitest';

it('@whet/runtime offers what adapts and predicts, and the form of a bundle stands in an entry of its own', () => {
  expect(Object.keys(runtime).sort()).toEqual([
    'Bundle',
    'BundleError',
    'InputError',
    'MissingPackageError',
    'Profile',
    'ProfileError',
    'readProfile',
  ]);
  expect(Object.keys(format)).toContain('readSafetensors');
});
