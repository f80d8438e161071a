import { movesHeadAlone } from './adapt.js';
import { adaptOne, checkSteps, type Starting, type TaskEncoder } from './adapt-one.js';
import { AUTO } from './auto-name.js';
import { classesOf, countsOf } from './classes.js';
import { InputError } from './errors.js';
import type { Manifest } from './manifest.js';
import { checkRemember, mostRemembered, rememberedOf, remembersAll } from './memory.js';
import type { Pattern } from './pattern.js';
import { Profile } from './profile.js';
import { storeValues } from './profile-storage.js';
import { addViews, encodeRows, type Rows, type ViewOptions } from './rows.js';
import type { AdaptOptions, AdaptResult, Example, ImageInput } from './types.js';

/** A bundle, and the patterns that may be adapted, from the one that moves least. */
interface Adaptable {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly patterns: readonly Pattern[];
}

/** What is adapted to: examples, and those that a profile to go on from remembers, which come before them. */
interface Examples {
  readonly given: readonly Example<ImageInput>[];
  readonly memory: readonly Example<ImageInput>[];
}

/** Encodes the examples for a pattern and makes views of them, and knows how long that took. */
class ExampleEncoder implements TaskEncoder {
  /** Rows without views, of the patterns that were encoded for. */
  readonly encoded = new Map<Pattern, Rows>();
  milliseconds = 0;
  readonly #images: readonly ImageInput[];

  constructor(
    examples: readonly Example<ImageInput>[],
    private readonly task: { readonly labels: Int32Array; readonly ways: number },
    private readonly manifest: Manifest,
    private readonly options: Starting,
  ) {
    this.#images = examples.map(({ image }) => image);
  }

  encode = (pattern: Pattern): Promise<Rows> =>
    this.#timed(async () => {
      const rows = await encodeRows(pattern, this.#images, this.task, this.manifest.preprocessing, this.options.signal);
      this.encoded.set(pattern, rows);
      return this.#withViews(pattern, rows, 'lone');
    });

  addViews = (pattern: Pattern, rows: Rows, of: ViewOptions['of']): Promise<Rows> =>
    this.#timed(() => this.#withViews(pattern, rows, of));

  #withViews(pattern: Pattern, rows: Rows, of: ViewOptions['of']): Promise<Rows> {
    const { steps, from, views, signal } = this.options;
    // A head that goes on from a profile takes steps on its examples alone.
    const asks = steps !== 0 && !(from && pattern.manifest.objective !== 'prototypes');
    const count = views ?? (asks ? (pattern.manifest.views ?? 0) : 0);
    const which = views === undefined ? of : 'all';
    return addViews(pattern, rows, this.#images, { count, of: which }, this.manifest.preprocessing, signal);
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    this.milliseconds += performance.now() - began;
    return result;
  }
}

/**
 * Adapts one of some patterns to examples that have been checked. Throws {@link InputError} naming the option that does not fit, and the
 * signal's reason where it aborts.
 */
export async function adaptExamples(
  { manifest, digest, patterns }: Adaptable,
  { given, memory }: Examples,
  asked: AdaptOptions,
): Promise<AdaptResult> {
  const { from, ...others } = asked;
  const examples = [...memory, ...given];
  // A head in closed form of which all classes are remembered is made anew, of these and the new examples; another goes on.
  const isRemade =
    from !== undefined && memory.length > 0 && remembersAll(from) && patterns.every(({ solve }) => solve !== undefined);
  const options: Starting = isRemade ? { ...others, startsAt: from } : { ...asked, remembered: memory.length };
  const labels = examples.map(({ label }) => label);
  const classes = classesOf(labels, manifest, from?.classes);
  checkSteps(asked);
  const ways = classes.names.length;
  const remember = asked.remember ?? (from ? rememberedOf(from, ways, mostRemembered(manifest)) : 0);
  for (const pattern of patterns) checkRemember(remember, ways, pattern, manifest);
  if (asked.anchor && isRemade && patterns.every(movesHeadAlone)) {
    throw new InputError('anchor', `expected 0 where a head is made anew of what is remembered, got ${asked.anchor}`);
  }
  const began = performance.now();
  const encoder = new ExampleEncoder(examples, { labels: classes.rows, ways }, manifest, options);
  const { pattern, adapted, steps, heldBack, auto, why } =
    options.pattern === AUTO
      ? await (await import('./auto.js')).adaptAuto({
          patterns,
          encode: encoder.encode,
          addViews: encoder.addViews,
          budgetMs: options.budgetMs ?? Number.POSITIVE_INFINITY,
          options,
          policy: manifest.policy,
        })
      : await adaptOne(patterns[0] as Pattern, encoder, options);
  const { values, solved, losses, loss, halved } = adapted;
  const before = { rows: memory.length, examples: from?.examples ?? [] };
  const counts = countsOf(classes.rows.subarray(memory.length), ways).map(
    (count, row) => count + (before.examples[row] ?? 0),
  );
  const rows = encoder.encoded.get(pattern) as Rows;
  const kept = remember ? await (await import('./remember.js')).memoryOf(rows, remember, before, options.signal) : [];
  const taken = Math.min(steps + (from?.steps ?? 0), Number.MAX_SAFE_INTEGER);
  const ended = performance.now();
  const stored = storeValues(new Map([...values, ...kept]), pattern, manifest.profiles);
  const profile = new Profile(digest, pattern.name, classes.names, counts, taken, stored.values, {
    ...stored.storage,
    ...(remember > 0 ? { remember } : {}),
  });
  const known = from?.classes ?? manifest.labels;
  // In words, which are fetched where there is something to say.
  const spared = !auto && why ? (await import('./reasons.js')).sayReason(why) : undefined;
  const { milliseconds: encode } = encoder;
  return {
    profile,
    added: known ? classes.names.slice(known.length) : [],
    solved,
    losses,
    loss,
    halved,
    ...(heldBack ? { heldBack } : {}),
    ...(spared === undefined ? {} : { spared }),
    ...(auto ? { auto } : {}),
    ...(why ? { why } : {}),
    milliseconds: { encode, steps: ended - began - encode, total: ended - began },
  };
}
