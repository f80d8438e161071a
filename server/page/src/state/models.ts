import { computed, signal } from '@preact/signals';
import { t } from '../messages/index.js';
import type { AboutBundle } from '../shared/bundle-list.js';
import type { LoaderClient } from './compute-client.js';
import { bundleName, bundles, opened } from './signals.js';

/** What a model is for. */
export type Kind = 'photos' | 'drawings';

const about = signal<ReadonlyMap<string, AboutBundle>>(new Map());

/** Reads what the models of this page are for; the page opens meanwhile. */
export async function readAbout(loader: LoaderClient, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = await loader.call((remote) => remote.about(name)).catch(() => undefined);
    if (found) about.value = new Map([...about.value, [name, found]]);
  }
}

/** Bytes that are fetched to open a model; undefined until its manifest was read. */
export const bytesOf = (name: string): number | undefined => about.value.get(name)?.bytes;

function kindOf(name: string): Kind | undefined {
  const own = name === bundleName.value ? opened.value?.manifest.preprocessing.channels : undefined;
  const channels = about.value.get(name)?.channels ?? own;
  return channels === undefined ? undefined : channels === 3 ? 'photos' : 'drawings';
}

export interface ModelChoice {
  readonly name: string;
  readonly kind: Kind | undefined;
  /** In plain words; with the model's own name where several are for the same. */
  readonly title: string;
}

/** The models of this page. */
export const models = computed((): readonly ModelChoice[] => {
  const all = bundles.value.map((name) => ({ name, kind: kindOf(name) }));
  return all.map(({ name, kind }) => {
    const isOnly = all.filter((other) => other.kind === kind).length === 1;
    const title = kind === undefined ? name : isOnly ? t()[kind] : `${t()[kind]}: ${name}`;
    return { name, kind, title };
  });
});
