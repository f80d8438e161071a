import { describe, expect, it } from 'vitest';
import { circles, roomArrows, roomArrowsOf, strangeImports } from './boundaries.js';
import { parseSource, readSources } from './sources.js';

const sources = readSources();
const strange = (path: string, text: string) => strangeImports([parseSource(path, text)]);

describe('packages', () => {
  it('import what stands below them, and nothing else', () => {
    expect(strangeImports(sources)).toEqual([]);
  });

  it.each([
    ['the trainer in the compiler', 'compiler/src/graph.ts', "import { train } from '@whet/trainer';"],
    ['a type', 'compiler/src/graph.ts', "export type { Rule } from '@whet/trainer';"],
    ['a type where it is used', 'compiler/src/graph.ts', "export type Rule = import('@whet/trainer').Rule;"],
    ['what is imported when it is needed', 'runtime/src/bundle.ts', "await import('@whet/trainer');"],
    ['another package by its path', 'trainer/src/index.ts', "export * from '../../compiler/src/graph.js';"],
    ['tools in a product', 'server/src/app.ts', "import '@whet/tools/bundles/tiny-bundle';"],
    ['tests in a product', 'runtime/src/adapt.ts', "import '../../test/src/programs.js';"],
    ['tests in tools', 'tools/src/gpu/run.ts', "import '@whet/test';"],
    ['Node.js where a phone runs it', 'runtime/src/bundle.ts', "import { readFile } from 'node:fs/promises';"],
    ['sharp outside of its entry', 'runtime/src/web.ts', "import sharp from 'sharp';"],
    ['onnxruntime-web in the entry for Node.js', 'runtime/src/node.ts', "import * as ort from 'onnxruntime-web';"],
    ['a new dependency of the compiler', 'compiler/src/graph.ts', "import { z } from 'zod';"],
  ])('refuses %s', (_what, path, text) => {
    expect(strange(path, text)).toHaveLength(1);
  });

  it('says which file imports what', () => {
    expect(strange('compiler/src/graph.ts', "import { train } from '@whet/trainer';")).toEqual([
      'compiler/src/graph.ts imports @whet/trainer',
    ]);
  });

  it('may import what is below them, and tests may import sources', () => {
    expect(strange('trainer/src/task/rules.ts', "import { gradients } from '@whet/compiler';")).toEqual([]);
    expect(strange('cli/src/commands/train.ts', "await import('@whet/trainer');")).toEqual([]);
    expect(strange('test/src/a.test.ts', "import '../../compiler/src/graph.js';")).toEqual([]);
    expect(strange('compiler/src/a.test.ts', "import { it } from 'vitest';")).toEqual([]);
  });
});

describe('rooms of the trainer', () => {
  it('import the rooms that are listed', () => {
    expect(roomArrowsOf(sources)).toEqual(roomArrows);
  });

  it('stand on floors: none leads back to itself', () => {
    expect(circles(roomArrows)).toEqual([]);
    expect(circles({ task: ['training'], training: ['data', 'task'], data: [] })).toEqual(['task', 'training']);
  });

  it('are told by folder', () => {
    const made = [
      parseSource('trainer/src/task/rules.ts', "import '../training/train.js'; import './task-graph.js';"),
      parseSource('trainer/src/backends/tfjs/open.ts', "import '../errors.js'; import '../../statistics.js';"),
      parseSource('trainer/src/compile/read/a.ts', "import '../compile-model.js';"),
    ];
    expect(roomArrowsOf(made)).toEqual({ task: ['training'], backends: ['statistics'], 'compile/read': ['compile'] });
  });
});
