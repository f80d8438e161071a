import { adaptExamples } from './adapt-examples.js';
import { checkAlways } from './as-pictures.js';
import { AUTO } from './auto-name.js';
import { chosenPatterns, digestOf, readChecked } from './bundle-files.js';
import { encodeExamples } from './encode.js';
import { InputError, ProfileError } from './errors.js';
import type { FreezeOptions } from './freeze.js';
import { checkImage } from './image-checks.js';
import { labelProblem } from './label.js';
import { filesOf, graphsOf, type Manifest, type PatternManifest, parseManifest } from './manifest.js';
import { recalled } from './memory.js';
import { graphsIn, loadPattern, nested, openGraphs, type Pattern } from './pattern.js';
import { groupRequests, type PredictionRequest, predictGroup } from './predict.js';
import { Profile, readProfile } from './profile.js';
import { checkFits } from './profile-fits.js';
import { profileSize } from './profile-size.js';
import { restoreValues, storeValues } from './profile-storage.js';
import type { BundleSource } from './source.js';
import type { AdaptOptions, AdaptResult, EncodedImage, Example, ImageInput, Prediction } from './types.js';
import { Weights } from './weights.js';

export interface OpenOptions {
  /** Patterns to load, by name or chosen from the manifest; all when absent. Files of the others are not read. */
  readonly patterns?: readonly string[] | ((manifest: Manifest) => readonly string[]);
  /**
   * Whether onnxruntime's sessions of these patterns are made now, true when absent (and on WebGPU). Else each is made when its graph first
   * runs, which takes longer then, and shows only then whether onnxruntime loads it: for whoever needs few of them. The bundle's
   * weights are held until the last is made.
   */
  readonly preload?: boolean;
}

/** What is warmed up. */
export interface WarmUpOptions {
  /** All patterns that are loaded when absent. */
  readonly patterns?: readonly string[];
  /** Inner steps taken; 1 when absent, 0 for whoever only predicts. */
  readonly steps?: number;
}

/** A loaded bundle: one set of sessions per pattern, shared by all profiles. */
export class Bundle {
  readonly #patterns = new Map<string, Pattern>();
  readonly #loading = new Map<string, Promise<void>>();
  /** Kept while there are patterns to be loaded. */
  #weights: Weights | undefined;

  private constructor(
    readonly manifest: Manifest,
    /** SHA-256 of what decides predictions (every file but measurements and texts); profiles name it. */
    readonly digest: string,
    private readonly source: BundleSource,
    private readonly preload: boolean,
  ) {}

  /**
   * Loads a bundle, or some patterns of it, and checks every file's digest and every graph's tensor names.
   * Throws {@link BundleError} naming the file that does not fit, or the pattern that the bundle has not got.
   */
  static async open(source: BundleSource, options: OpenOptions = {}): Promise<Bundle> {
    const text = new TextDecoder().decode(await source.read('manifest.json'));
    const manifest = parseManifest(text, source.location);
    const digest = await digestOf(manifest);
    const bundle = new Bundle(manifest, digest, source, options.preload ?? true);
    const chosen = chosenPatterns(manifest, source.location, options.patterns);
    const needed = options.patterns
      ? new Set(chosen.flatMap(([, pattern]) => filesOf(manifest, pattern)))
      : Object.keys(manifest.files);
    const files = await readChecked(source, [...needed], manifest);
    try {
      for (const [name] of chosen) await bundle.#open(name, files);
    } catch (cause) {
      await bundle.release();
      throw cause;
    }
    return bundle;
  }

  /** Patterns that are loaded. */
  get loaded(): readonly string[] {
    return [...this.#patterns.keys()];
  }

  /**
   * Loads one more pattern; does nothing where it is loaded. Throws {@link BundleError} as {@link open}, {@link InputError} where the
   * bundle has not got it.
   */
  async load(name: string): Promise<void> {
    if (this.#patterns.has(name)) return;
    const pattern = this.#known(name);
    const loading =
      this.#loading.get(name) ??
      readChecked(this.source, this.#weights ? graphsOf(pattern) : filesOf(this.manifest, pattern), this.manifest).then(
        (files) => this.#open(name, files),
      );
    this.#loading.set(name, loading);
    try {
      await loading;
    } finally {
      this.#loading.delete(name);
    }
  }

  /**
   * Adapts patterns to two blank examples and predicts one of them, as the first run of a session takes longer than the next ones, and
   * more memory from then on. Milliseconds that it took.
   */
  async warmUp({ patterns = this.loaded, steps = 1 }: WarmUpOptions = {}): Promise<number> {
    const began = performance.now();
    const image = new Float32Array(this.imageLength);
    const [first = 'a', second = 'b'] = this.labels ?? [];
    const examples = [first, second].map((label) => ({ label, image }));
    for (const pattern of patterns) {
      try {
        const { profile } = await this.adapt(examples, { pattern, steps });
        await this.predict(profile, [image]);
      } catch (error) {
        // What blank images do to a network is of no account: what it made of them has run.
        if (!(error instanceof InputError)) throw error;
      }
    }
    return performance.now() - began;
  }

  /** Takes a pattern out of checked files. */
  async #open(name: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const { labels, featureLength } = this.manifest;
    const keptShape = labels && ([labels.length, featureLength] as const);
    const { weights: path, patterns } = this.manifest;
    const bytes = files.get(path);
    if (bytes) this.#weights ??= new Weights(`${this.source.location}/${path}`, path, bytes, !this.preload);
    const weights = this.#weights as Weights;
    const pattern = loadPattern(this.source, files, weights, name, this.#known(name), keptShape);
    if (this.preload) await openGraphs(pattern);
    this.#patterns.set(name, pattern);
    if (this.#patterns.size === Object.keys(patterns).length) this.#weights = undefined;
  }

  /** Classes that the bundle has of its own: those of a kept head. */
  get labels(): readonly string[] | undefined {
    return this.manifest.labels;
  }

  /** How many sessions of onnxruntime it holds. */
  get sessionCount(): number {
    return this.#graphs.filter(({ isOpen }) => isOpen).length;
  }

  /** Length of one preprocessed image, `C * H * W`. */
  get imageLength(): number {
    const { channels, height, width } = this.manifest.preprocessing;
    return channels * height * width;
  }

  /**
   * Adapts to labelled examples: two classes or more, any number of examples of each. A bundle with classes of its own, and
   * a profile to go on from (`options.from`), take examples of any of their classes and add one for any other label. The pattern `auto`
   * is chosen by examples that are held back. Throws {@link InputError} naming the field that
   * does not fit, and the signal's reason where it aborts.
   */
  async adapt(given: readonly Example<ImageInput>[], asked: AdaptOptions = {}): Promise<AdaptResult> {
    const { from } = asked;
    const named = from ? asked : { ...asked, pattern: asked.pattern ?? this.#presetFor(given) };
    const patterns = this.#adapting(named);
    const memory = from ? recalled(from, this.digest) : [];
    this.#checkExamples(given, patterns, memory.length);
    return adaptExamples({ manifest: this.manifest, digest: this.digest, patterns }, { given, memory }, named);
  }

  /** What is taken where no pattern is named: `auto` chooses among several, or by a policy, of pictures that are not encoded for one of them yet. */
  #presetFor(examples: readonly Example<ImageInput>[]): string {
    const { auto, policy, defaultPattern } = this.manifest;
    const mayChoose = auto && (policy !== undefined || this.#patterns.size > 1);
    const isOpen = mayChoose && examples.every(({ image }) => image instanceof Float32Array);
    return isOpen ? AUTO : defaultPattern;
  }

  /** The pattern to adapt, or those of which `auto` chooses one, from the one that moves least. */
  #adapting(options: AdaptOptions): readonly Pattern[] {
    checkAlways(options);
    const { pattern: asked, from } = options;
    if (asked === AUTO) {
      if (!from) return nested([...this.#patterns.values()]);
      throw new InputError('pattern', `expected "${from.pattern}", that of the profile to go on from, got "${AUTO}"`);
    }
    const pattern = from ? this.#fitting(from) : this.#pattern(asked ?? this.manifest.defaultPattern);
    if (asked === undefined || asked === pattern.name) return [pattern];
    const got = `"${asked.slice(0, 100)}"`;
    throw new InputError('pattern', `expected "${pattern.name}", that of the profile to go on from, got ${got}`);
  }

  #checkExamples(examples: readonly Example<ImageInput>[], patterns: readonly Pattern[], remembered = 0): void {
    const maxExamples = this.manifest.limits.maxExamples - remembered;
    if (examples.length === 0) throw new InputError('examples', 'expected labelled examples, got none');
    if (examples.length > maxExamples) {
      const beside = remembered > 0 ? ` beside ${remembered} that are remembered` : '';
      throw new InputError('examples', `expected at most ${maxExamples} examples${beside}, got ${examples.length}`);
    }
    for (const [i, { label, image }] of examples.entries()) {
      const problem = labelProblem(label);
      if (problem) throw new InputError(`examples[${i}].label`, problem);
      for (const pattern of patterns) this.#checkImage(image, pattern, `examples[${i}].image`);
    }
  }

  /**
   * The profile of nobody: the compiled model's own head and weights, which predict what the model did. Throws
   * {@link InputError} where the bundle has no classes of its own.
   */
  initialProfile(name: string = this.manifest.defaultPattern): Profile {
    const { labels } = this;
    const pattern = this.#pattern(name);
    const { start, keptHead, initialMoments } = pattern;
    if (!labels || !keptHead) {
      const got = `the bundle "${this.manifest.name}", whose head is "${this.manifest.head}"`;
      throw new InputError('profile', `expected a profile, or a bundle with classes of its own, got ${got}`);
    }
    const values = new Map([...start, ...initialMoments])
      .set('head.weight', keptHead.weight)
      .set('head.bias', keptHead.bias);
    const stored = storeValues(values, pattern);
    const examples = new Array<number>(labels.length).fill(0);
    return new Profile(this.digest, name, labels, examples, 0, stored.values, stored.storage);
  }

  /**
   * What is left of images above the frozen part of a pattern, each by itself: to be kept in their place as examples to adapt
   * to again, with others added, or to predict for several profiles. Throws {@link InputError} where the frozen part is
   * normalized by the moments of the examples that are adapted to, and for images that do not fit.
   */
  async encode(
    images: readonly Float32Array[],
    options: Pick<AdaptOptions, 'pattern' | 'signal'> = {},
  ): Promise<EncodedImage[]> {
    const pattern = this.#pattern(options.pattern ?? this.manifest.defaultPattern);
    for (const [i, image] of images.entries()) this.#checkImage(image, pattern, `images[${i}]`);
    if (pattern.moments.frozen.size > 0) {
      const got = `"${pattern.name}", whose frozen part is normalized by the examples of each adaptation`;
      throw new InputError('pattern', `expected one whose features depend on an image alone, got ${got}`);
    }
    const { features } = await encodeExamples(pattern, images, this.manifest.preprocessing, options.signal);
    const values = features?.data as Float32Array;
    const length = values.length / images.length;
    return images.map((_, i) => ({
      bundle: this.digest,
      pattern: pattern.name,
      features: values.slice(i * length, (i + 1) * length),
    }));
  }

  /** Classifies images, each by itself: what else is in the list changes nothing. Throws {@link InputError}. */
  async predict(profile: Profile, images: readonly ImageInput[]): Promise<Prediction[]> {
    const pattern = this.#fitting(profile);
    for (const [i, image] of images.entries()) this.#checkImage(image, pattern, `images[${i}]`);
    const predictions: Prediction[] = [];
    const requests = [{ index: 0, request: { profile, images } }];
    await predictGroup({ pattern, requests }, this.manifest.preprocessing, [predictions]);
    return predictions;
  }

  /**
   * {@link predict} for many profiles at once; predictions come by request. What is frozen runs once over the images of
   * all of them, so that many small requests cost little more than one large one.
   */
  async predictMany(requests: readonly PredictionRequest[]): Promise<Prediction[][]> {
    const groups = groupRequests(requests, (profile) => this.#fitting(profile));
    for (const [at, { profile, images }] of requests.entries()) {
      const pattern = this.#pattern(profile.pattern);
      for (const [i, image] of images.entries()) this.#checkImage(image, pattern, `requests[${at}].images[${i}]`);
    }
    const results = requests.map((): Prediction[] => []);
    for (const group of groups) await predictGroup(group, this.manifest.preprocessing, results);
    return results;
  }

  /** Reads a profile and checks that it fits this bundle; throws {@link ProfileError} where it does not. */
  profileFromBytes(bytes: Uint8Array): Profile {
    const read = readProfile(bytes, profileSize(this.manifest).headerBytes);
    const { pattern, classes, examples, steps, storage } = read;
    const values = restoreValues(read, this.#patternOf(read));
    // One of this bundle in an earlier format is kept as one of today's.
    const profile = new Profile(this.digest, pattern, classes, examples, steps, values, storage);
    this.#fitting(profile);
    return profile;
  }

  /**
   * A profile and the bundle as one ONNX model, `images` to `probabilities [N, W]` as {@link predict} has them, for any ONNX runtime: its
   * metadata has the names of the classes, in order. Throws {@link ProfileError} where the profile is another bundle's, {@link BundleError} where
   * the graphs cannot stand in one model, or a file of the bundle cannot be read any more.
   */
  async freeze(profile: Profile, options: FreezeOptions = {}): Promise<Uint8Array> {
    this.#fitting(profile);
    const { freezeProfile } = await import('./freeze.js');
    return freezeProfile(this.source, this, profile, options);
  }

  /** Frees the sessions; the bundle cannot be used afterwards. */
  async release(): Promise<void> {
    for (const graph of this.#graphs) await graph.release();
  }

  get #graphs() {
    return [...this.#patterns.values()].flatMap(graphsIn);
  }

  /** What the manifest says of a pattern. */
  #known(name: string): PatternManifest {
    const { patterns } = this.manifest;
    const pattern = Object.hasOwn(patterns, name) ? patterns[name] : undefined;
    if (pattern) return pattern;
    const known = Object.keys(patterns).join(', ');
    throw new InputError('pattern', `expected one of ${known}, got "${name.slice(0, 100)}"`);
  }

  #pattern(name: string): Pattern {
    this.#known(name);
    const pattern = this.#patterns.get(name);
    if (pattern) return pattern;
    const loaded = this.loaded.join(', ');
    throw new InputError('pattern', `expected one of ${loaded}, got "${name}"; load it first`);
  }

  /** The pattern of a profile, whatever its values. */
  #patternOf(profile: Profile): Pattern {
    if (!this.#isOwn(profile.bundle)) {
      throw new ProfileError(
        `profile: made with another bundle: expected ${this.digest.slice(0, 12)}..., got ${profile.bundle.slice(0, 12)}...`,
        { problem: 'other-bundle' },
      );
    }
    const pattern = this.#patterns.get(profile.pattern);
    if (!pattern) {
      const has = Object.hasOwn(this.manifest.patterns, profile.pattern) ? 'was loaded without its' : 'has no';
      throw new ProfileError(`profile: the bundle ${has} pattern "${profile.pattern.slice(0, 100)}"`);
    }
    return pattern;
  }

  #fitting(profile: Profile): Pattern {
    const pattern = this.#patternOf(profile);
    checkFits(profile, pattern, this.manifest);
    return pattern;
  }

  /** Whether a digest is this bundle's, or of one that predicts as this does. */
  #isOwn(digest: string): boolean {
    return digest === this.digest || (this.manifest.formerly ?? []).includes(digest);
  }

  #checkImage(image: ImageInput, pattern: Pattern, field: string): void {
    const { manifest, digest } = this;
    checkImage({ manifest, digest, isOwn: (other) => this.#isOwn(other) }, image, pattern, field);
  }
}
