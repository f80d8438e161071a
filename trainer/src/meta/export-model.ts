import type { ExternalReader } from '@whet/compiler';
import { AUTO, mismatchOf, type Policy, policySchema, type StoredNumbers } from '@whet/runtime/format';
import { checkMovable } from '../compile/compile-checks.js';
import { type PatternRequest, type WriteOptions, writeCompiled } from '../compile/compile-model.js';
import type { CompileOptions, CompileReport, StepOptions } from '../compile/compile-options.js';
import { CompileError } from '../compile/read/compile-error.js';
import { restarted } from '../compile/restart.js';
import { selectParameters } from '../compile/select-parameters.js';
import type { Candidate } from './candidates.js';
import { headScale, taskTensors } from './learned.js';
import type { ModelFile, ModelRun } from './open-run.js';
import { closedShare, openBlocks, openTensors } from './report.js';

/** The pattern that moves what masks leave open, by the learned rates. */
const LEARNED = 'learned';

export interface ExportModelOptions extends Pick<CompileOptions, 'half' | 'quantize' | 'limits'> {
  readonly run: ModelRun;
  readonly file: ModelFile;
  /** The bundle's folder, or one file where it ends in `.whet`; written whole or not at all. */
  readonly directory: string;
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  /**
   * Patterns by selections of `whet compile`, beside the head, what was learned of the last block, and what was learned; one that is called
   * `head` or `block` is in the place of that.
   */
  readonly patterns?: Readonly<Record<string, readonly string[]>>;
  /** Whether what was learned of masks and rates becomes patterns; when false, start weights and the head's scale are all that is taken. True when absent. */
  readonly learned?: boolean;
  /** What the logits of heads are multiplied by; what was learned when absent, which smoothed labels make small. */
  readonly headScale?: number;
  /** `auto`, for examples to choose, when absent. */
  readonly defaultPattern?: string;
  /** Of the learned pattern; those of training when absent. */
  readonly steps?: number;
  readonly rate?: number;
  /** What `auto` does by the loss of views of the examples, as it comes from a file; by trials alone when absent. */
  readonly policy?: unknown;
  /** How profiles store what moved; `float32` when absent. */
  readonly profiles?: StoredNumbers;
  readonly provenance?: Readonly<Record<string, unknown>>;
}

const HEAD: PatternRequest = { name: 'head', moving: [] };
/** The pattern that moves of the last block what the learned one moves of all. */
const BLOCK = 'block';

/** What a learned pattern moves, with its start values in the model; undefined where masks close all of it. */
function learnedPattern(
  { config, state, candidates, model }: ModelRun,
  {
    steps = config.innerSteps[1],
    rate = config.innerRate,
    headScale: scale = headScale(state.learned),
  }: Pick<ExportModelOptions, 'steps' | 'rate' | 'headScale'>,
  name: typeof LEARNED | typeof BLOCK,
): PatternRequest | undefined {
  const inPattern = ({ block }: Candidate) => name === LEARNED || block === 1;
  const tensors = candidates.tensors.filter(inPattern);
  const open = taskTensors({ ...candidates, tensors }, state.learned).filter(({ count }) => count > 0);
  if (open.length === 0) return undefined;
  const byName = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
  const moving = open.map(({ candidate }) => byName.get(candidate.name) as (typeof model.parameters)[number]);
  const own: StepOptions = {
    steps,
    rate,
    optimizer: 'adam',
    objective: 'prototypes',
    schedule: 'cosine',
    smoothing: config.smoothing,
    views: config.views,
  };
  const closed = (100 * closedShare(openTensors({ ...candidates, tensors }, state.learned))).toFixed(0);
  const of = name === LEARNED ? config.trainable.join(', ') : 'the last block';
  return {
    name,
    moving,
    learned: {
      headScale: scale,
      // Multiples of the inner rate, so that the bundle's common rate scales them all.
      tensors: new Map(
        open.map((tensor) => [tensor.candidate.name, { open: tensor.open, rate: tensor.rate / config.innerRate }]),
      ),
    },
    steps: own,
    description: `Moves what meta-training left open of ${of} (${closed} % closed), by a learned rate for each tensor.`,
  };
}

/** Throws {@link CompileError} where a policy is none, or names a pattern that there is none of. */
function policyOf(given: unknown, patterns: readonly string[]): Policy {
  const problem = mismatchOf(policySchema, given, ['policy']);
  if (problem) throw new CompileError(problem);
  const policy = given as Policy;
  for (const rule of [...policy.several, ...policy.lone]) {
    if ('steps' in rule && !patterns.includes(rule.steps)) {
      throw new CompileError(`policy: expected steps of one of ${patterns.join(', ')}, got "${rule.steps}"`);
    }
  }
  return policy;
}

/** Who names no pattern has one chosen; the head is what then stands for all of them. */
const presetOf = (named = AUTO): Pick<WriteOptions, 'defaultPattern' | 'auto'> =>
  named === AUTO ? { defaultPattern: HEAD.name, auto: true } : { defaultPattern: named };

/**
 * Writes a bundle of a run that learned where a model learns: the learned pattern, and others that move what they are told to, all with the
 * learned scale of the head and learned start weights. Throws {@link CompileError} where masks close all, or a pattern does not fit.
 */
export async function exportModelRun(options: ExportModelOptions): Promise<CompileReport> {
  const { run, file, patterns } = options;
  const { config, state, candidates } = run;
  const starts = new Map(
    taskTensors(candidates, state.learned)
      .filter(({ candidate }) => candidates.learned.has(candidate.name))
      .map(({ candidate, start }) => [candidate.name, start]),
  );
  const model = restarted(run.model, starts);
  const scale = options.headScale ?? headScale(state.learned);
  const isTaken = options.learned ?? true;
  const learned = isTaken ? learnedPattern({ ...run, model }, options, LEARNED) : undefined;
  if (isTaken && !learned) {
    throw new CompileError(
      'the learned pattern: expected candidates that masks leave open, got none; train with a smaller price',
    );
  }
  const chosen = Object.entries(patterns ?? {}).map(([name, selections]): PatternRequest => {
    if (name === LEARNED) throw new CompileError(`pattern "${name}": expected another name than the learned one's`);
    const moving = selectParameters(selections, model);
    checkMovable(model, `pattern "${name}"`, moving);
    return { name, moving, learned: { headScale: scale } };
  });
  const isDeep = isTaken && candidates.tensors.some(({ block }) => block > 1);
  const block = isDeep ? learnedPattern({ ...run, model }, options, BLOCK) : undefined;
  const nested = [{ ...HEAD, learned: { headScale: scale } }, ...(block ? [block] : [])];
  const others = new Map([...nested, ...chosen].map((request) => [request.name, request]));
  const tensors = openTensors(candidates, state.learned);
  const requests = [...others.values(), ...(learned ? [learned] : [])];
  const names = requests.map(({ name }) => name);
  const policy = options.policy === undefined ? undefined : policyOf(options.policy, names);
  return writeCompiled(
    {
      model: file.bytes,
      fileName: config.model.fileName,
      directory: options.directory,
      name: options.name,
      patterns: {},
      ...(file.external ? { external: file.external as ExternalReader } : {}),
      ...(options.version === undefined ? {} : { version: options.version }),
      ...(options.description === undefined ? {} : { description: options.description }),
      ...(options.limits ? { limits: options.limits } : {}),
      ...(options.profiles ? { profiles: options.profiles } : {}),
      ...(options.quantize ? { quantize: options.quantize } : {}),
      half: options.half,
    },
    model,
    requests,
    {
      ...presetOf(options.defaultPattern),
      ...(policy ? { policy } : {}),
      preprocessing: config.preprocessing,
      provenance: {
        ...options.provenance,
        config,
        outerSteps: state.step,
        closed: closedShare(tensors),
        blocks: openBlocks(tensors),
      },
    },
  );
}
