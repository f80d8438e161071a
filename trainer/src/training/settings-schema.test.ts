import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import * as z from 'zod';
import { modelSettingsSchema } from '../meta/config.js';
import { settingsSchema } from './config.js';
import { newRun } from './run.js';

const recipes = fileURLToPath(new URL('../../../models/recipes/', import.meta.url));

type Schema = { readonly properties?: Readonly<Record<string, Schema>>; readonly description?: string };

function schemaOf(title: string, schema: z.ZodObject): Schema {
  const { $schema, properties, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  const address = { type: 'string', description: 'The address of this schema, by which editors know the keys' };
  return { $schema, title, ...rest, properties: { $schema: address, ...properties } } as Schema;
}

/** Keys without a description, also of objects in others. */
const undescribedIn = ({ properties = {} }: Schema): string[] =>
  Object.entries(properties).flatMap(([key, each]) => [
    ...(each.description ? [] : [key]),
    ...undescribedIn(each).map((below) => `${key}.${below}`),
  ]);

it.each([
  ['schema.json', 'Settings of `whet train`', settingsSchema],
  ['model-schema.json', 'Settings of `whet train --model`', modelSettingsSchema],
])(
  '%s, by which editors know the keys of settings, is that of the code, and describes every key',
  async (file, title, zod) => {
    const schema = schemaOf(title, zod);
    // Anew by `vitest run -u`.
    await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot(`${recipes}${file}`);
    expect(undescribedIn(schema)).toEqual([]);
  },
);

it('every recipe that refers to a schema fits it', async () => {
  const read = async (name: string) => JSON.parse(await readFile(`${recipes}${name}`, 'utf8'));
  const settings = await Promise.all(
    (await readdir(recipes))
      .filter((name) => name.endsWith('.json'))
      .map(async (name) => ({ name, text: await read(name) })),
  );
  const of = (schema: string) => settings.filter(({ text }) => text.$schema === schema);
  for (const { name, text } of of('./schema.json')) await expect(newRun(text), name).resolves.toBeDefined();
  for (const { name, text } of of('./model-schema.json')) {
    const { $schema: _, ...own } = text;
    expect(modelSettingsSchema.safeParse(own).error, name).toBeUndefined();
  }
  expect(of('./schema.json').length).toBeGreaterThan(5);
  expect(of('./model-schema.json').length).toBeGreaterThan(0);
});
