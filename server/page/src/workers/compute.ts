import { AUTO, patternsOfAuto } from '@whet/runtime/format';
import type { HtmlTexts } from '@whet/runtime/html';
import {
  type AdaptTimings,
  type AutoReport,
  type BackendChoice,
  type Bundle,
  type DownloadProgress,
  type HeldBack,
  loadBundle,
  type Manifest,
  type OrtFiles,
  type PatternManifest,
  type Profile,
  ProfileError,
  type ProfileProblem,
  type Reason,
  readProfile,
  usableThreads,
  type WebBackend,
  type WebLoadOptions,
} from '@whet/runtime/web';
import * as Comlink from 'comlink';
import { densest } from '../state/patterns.js';
import { encodeOnce, forgetEncoded, seenExamples, seenImage } from './encode-once.js';
import { askHeldBack, type ComparedPattern, comparePattern, type HeldBackAnswers } from './hold-back.js';
import type { Loader } from './loader.js';
import { type PictureOptions, type RefusedPicture, type SeenPicture, seePicture } from './pictures.js';
import { type WebPageUrls, writeWebPage } from './web-page.js';

// Everything that computes, in a thread of its own, so that the page never waits. It sees pictures, and may open no connection:
// files come from the loader through a port.

/** Addresses of onnxruntime-web's module and binary, as the build placed them. */
export interface OrtUrls {
  readonly mjs: string;
  readonly wasm: string;
}

export interface OpenRequest {
  readonly bundle: string;
  readonly backend: WebBackend | 'auto';
  readonly urls: { readonly wasm: OrtUrls; readonly webgpu: OrtUrls; readonly webPage: WebPageUrls };
  readonly threads: number | 'auto';
}

export interface Opened {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly choice: BackendChoice;
  /** Fetching, compiling and opening; a first adaptation and prediction. */
  readonly milliseconds: { readonly load: number; readonly warmUp: number };
}

export interface KnownProfile {
  readonly pattern: string;
  readonly classes: readonly string[];
  readonly examples: readonly number[];
}

/** Why a profile cannot be opened: errors lose that on their way out of a worker. */
export interface RefusedProfile {
  readonly problem: ProfileProblem | 'damaged';
  readonly detail: string;
}

export interface LabelledPixels {
  /** By which what was computed of it is found again; absent where it is not to be kept. */
  readonly id?: string;
  readonly label: string;
  /** `[H, W, C]`, 0..255. */
  readonly pixels: Uint8Array;
}

export interface AdaptChoice {
  /** Of the bundle, or `auto`. */
  readonly pattern: string;
  /** Of `auto`. */
  readonly budgetMs?: number;
}

export interface Adapted {
  readonly bytes: Uint8Array;
  /** The one that was asked for, or that `auto` chose. */
  readonly pattern: string;
  readonly classes: readonly string[];
  readonly losses: readonly number[];
  readonly heldBack?: HeldBack;
  readonly auto?: AutoReport;
  /** What `auto` chose by, or why no step was taken where some were asked for. */
  readonly why?: Reason;
  readonly milliseconds: AdaptTimings;
  /** Examples that had to be encoded; the others were before. */
  readonly encoded: number;
}

export interface PredictedImage {
  readonly label: string;
  readonly probabilities: readonly { readonly label: string; readonly probability: number }[];
  /** Below 0 where it is more like a picture of none of the classes; absent where the profile cannot tell. */
  readonly familiarity?: number;
  readonly milliseconds: number;
}

let bundle: Bundle | undefined;
/** Writes pages of what the open bundle has learned. */
let writePage: (profile: Profile, texts: HtmlTexts) => Promise<Blob>;
let cancelled: AbortController | undefined;

function opened(): Bundle {
  if (!bundle) throw new Error('expected an open bundle');
  return bundle;
}

/** One thing is computed at a time: what is under way gives way. */
function begin(): AbortController {
  compute.cancel();
  cancelled = new AbortController();
  return cancelled;
}

async function ortFiles(loader: Comlink.Remote<Loader>, urls: OrtUrls): Promise<OrtFiles> {
  return { mjs: urls.mjs, wasm: await loader.readAsset(urls.wasm) };
}

const compute = {
  /** Opens a bundle's default pattern. `remember` keeps which backend was the faster one. */
  async open(
    { bundle: name, backend, urls, threads }: OpenRequest,
    loaderPort: MessagePort,
    told: {
      onProgress(progress: DownloadProgress): void;
      onLost(reason: string): void;
    },
    memory?: { get(key: string): Promise<unknown>; set(key: string, value: unknown): Promise<void> },
  ): Promise<Opened> {
    const loader = Comlink.wrap<Loader>(loaderPort);
    const began = performance.now();
    const [wasm, webgpu] = await Promise.all([
      ortFiles(loader, urls.wasm),
      backend === 'wasm' ? undefined : ortFiles(loader, urls.webgpu),
    ]);
    let choice: BackendChoice = { backend: 'wasm', threads: 1, reason: '' };
    const onProgress = Comlink.proxy((progress: DownloadProgress) => told.onProgress(progress));
    const options: WebLoadOptions = {
      backend,
      threads,
      patterns: ({ defaultPattern }) => [defaultPattern],
      files: webgpu ? { wasm, webgpu } : { wasm },
      onBackend: (taken) => {
        choice = taken;
      },
      onLost: (reason) => {
        // Callbacks of the lost device may still throw, in the code of onnxruntime-web.
        addEventListener('error', (event) => event.preventDefault());
        addEventListener('unhandledrejection', (event) => event.preventDefault());
        told.onLost(reason);
      },
      ...(memory ? { memory } : {}),
    };
    forgetEncoded();
    bundle = await loadBundle((path, fresh) => loader.readBundleFile(name, path, onProgress, fresh), options);
    const load = performance.now() - began;
    const open = bundle;
    writePage = (profile, texts) => writeWebPage(open, profile, texts, urls.webPage, (url) => loader.readAsset(url));
    const { manifest, digest } = bundle;
    return { manifest, digest, choice, milliseconds: { load, warmUp: await bundle.warmUp() } };
  },

  /** The pixels that the bundle would see of a picture, and whether it is a colourful one. */
  async pixels(picture: Blob | ImageBitmap, options: PictureOptions = {}): Promise<SeenPicture | RefusedPicture> {
    const seen = await seePicture(picture, opened().manifest.preprocessing, options);
    return 'problem' in seen ? seen : Comlink.transfer(seen, [seen.pixels.buffer]);
  },

  /** Adapts; rejects with an AbortError after {@link cancel}. `auto` tries all patterns, which are fetched for it. */
  async adapt(
    examples: readonly LabelledPixels[],
    request: AdaptChoice,
    onStep: (step: number, loss: number) => void,
  ): Promise<Adapted> {
    const open = opened();
    const { pattern: asked } = request;
    const { signal } = begin();
    for (const name of asked === AUTO ? patternsOfAuto(open.manifest) : [asked]) {
      await open.load(name);
      signal.throwIfAborted();
    }
    const began = performance.now();
    // What is kept is of one pattern each, and of views there is nothing kept.
    const { inputs, encoded } =
      asked === AUTO
        ? { inputs: seenExamples(open, examples), encoded: examples.length }
        : await encodeOnce(open, asked, examples, signal);
    const encode = performance.now() - began;
    const adapted = await open.adapt(inputs, { ...request, onStep, signal });
    const { profile, losses, heldBack, auto, why, milliseconds } = adapted;
    const { pattern, classes } = profile;
    const times = { ...milliseconds, encode: encode + milliseconds.encode, total: encode + milliseconds.total };
    const told = {
      ...(heldBack ? { heldBack } : {}),
      ...(auto ? { auto } : {}),
      ...(why ? { why } : {}),
    };
    return { bytes: profile.toBytes(), pattern, classes, losses, ...told, milliseconds: times, encoded };
  },

  cancel(): void {
    cancelled?.abort(new DOMException('cancelled', 'AbortError'));
  },

  /** Reads a profile and says what is in it, or what is wrong with it. */
  async inspect(bytes: Uint8Array): Promise<KnownProfile | RefusedProfile> {
    try {
      const found = readProfile(bytes);
      if (found.bundle === opened().digest) await opened().load(found.pattern);
      const { pattern, classes, examples } = opened().profileFromBytes(bytes);
      return { pattern, classes, examples };
    } catch (cause) {
      if (cause instanceof ProfileError) return { problem: cause.problem ?? 'damaged', detail: cause.message };
      throw cause;
    }
  },

  /** A profile and its bundle as one ONNX model that takes pixels. */
  async freeze(bytes: Uint8Array): Promise<Uint8Array> {
    const open = opened();
    await open.load(readProfile(bytes).pattern);
    const model = await open.freeze(open.profileFromBytes(bytes), { input: 'pixels' });
    return Comlink.transfer(model, [model.buffer]);
  },

  /** The same as one HTML file that asks for pictures. */
  async webPage(bytes: Uint8Array, texts: HtmlTexts): Promise<Blob> {
    const open = opened();
    await open.load(readProfile(bytes).pattern);
    return writePage(open.profileFromBytes(bytes), texts);
  },

  async predict(bytes: Uint8Array, pixels: readonly Uint8Array[]): Promise<PredictedImage[]> {
    const open = opened();
    await open.load(readProfile(bytes).pattern);
    const profile = open.profileFromBytes(bytes);
    const began = performance.now();
    const predictions = await open.predict(
      profile,
      pixels.map((one) => seenImage(open, one)),
    );
    const milliseconds = (performance.now() - began) / Math.max(1, pixels.length);
    return predictions.map(({ label, probabilities, familiarity }) => ({
      label,
      milliseconds,
      ...(familiarity === undefined ? {} : { familiarity }),
      probabilities: profile.classes.map((name) => ({ label: name, probability: probabilities[name] as number })),
    }));
  },

  /**
   * Ms that adapting to these examples takes by the pattern that moves most, with all to be encoded: one step is measured, and taken times the
   * steps, the pattern's own when absent.
   */
  async measureDense(examples: readonly LabelledPixels[], asked?: number): Promise<number> {
    const open = opened();
    const pattern = densest(open.manifest);
    const { steps = 0 } = asked === undefined ? (open.manifest.patterns[pattern] as PatternManifest) : { steps: asked };
    const controller = new AbortController();
    cancelled = controller;
    await open.load(pattern);
    controller.signal.throwIfAborted();
    const tensors = seenExamples(open, examples);
    const took = async (count: number) => {
      const options = { pattern, steps: count, always: true, signal: controller.signal };
      return (await open.adapt(tensors, options)).milliseconds;
    };
    // The first run of a session takes longer than the next.
    const first = await took(1);
    const start = await took(0);
    const one = await took(1);
    // What else the device does only adds to a time.
    const stepped = Math.min(first.steps, one.steps);
    const least = Math.min(start.steps, stepped);
    // Without steps no views are encoded.
    return Math.min(first.encode, one.encode) + least + (stepped - least) * steps;
  },

  /** Asks about each example of a class that has two or more, by what learned from the others in the way of the default pattern. */
  async holdBack(examples: readonly LabelledPixels[]): Promise<HeldBackAnswers> {
    const open = opened();
    const { signal } = begin();
    const pattern = open.manifest.defaultPattern;
    await open.load(pattern);
    const { inputs } = await encodeOnce(open, pattern, examples, signal);
    return askHeldBack(open, pattern, inputs, signal);
  },

  /** Compares patterns on examples that are held back, each once. */
  async compare(
    examples: readonly LabelledPixels[],
    patterns: readonly string[],
    onResult: (result: ComparedPattern) => void,
  ): Promise<void> {
    const open = opened();
    const { signal } = begin();
    const inputs = seenExamples(open, examples);
    for (const pattern of patterns) {
      await open.load(pattern);
      onResult(await comparePattern(open, pattern, inputs, signal));
    }
  },

  threads: usableThreads,

  async close(): Promise<void> {
    await bundle?.release();
    bundle = undefined;
  },
};

export type Compute = typeof compute;

Comlink.expose(compute);
