import type { SourceModel } from '../compile/read/read-model.js';
import { type LayerMasks, type MaskPenalty, penaltyOf, pushOf } from '../training/mask-cost.js';
import type { Candidates } from './candidates.js';
import type { ModelRunConfig } from './config.js';
import { maskName } from './learned.js';

/** Blocks of candidates from the image upward, with what they compute and which masks cover them. */
function blocksOfCandidates(model: Pick<SourceModel, 'sections'>, { tensors }: Candidates): LayerMasks[] {
  const blockOf = new Map(tensors.map(({ parameter, block }) => [parameter, block]));
  const found = new Map<number, { cost: number; masks: Map<string, number>; parameters: number }>();
  let block: number | undefined;
  for (const { parameters, multiplyAdds } of model.sections) {
    // What has no parameters that may move belongs to the block below it.
    block = parameters.map((parameter) => blockOf.get(parameter)).find((each) => each !== undefined) ?? block;
    if (block === undefined) continue;
    const layer = found.get(block) ?? { cost: 0, masks: new Map(), parameters: 0 };
    layer.cost += multiplyAdds;
    found.set(block, layer);
  }
  for (const candidate of tensors) {
    const layer = found.get(candidate.block);
    const name = maskName(candidate);
    if (!layer) continue;
    layer.masks.set(name, (layer.masks.get(name) ?? 0) + candidate.start.length);
    layer.parameters += candidate.start.length;
  }
  return [...found.values()];
}

/** `C = open entries / all entries`: a profile holds what moves. */
function bytesPenalty(weight: number, { tensors }: Candidates): MaskPenalty {
  const covered = new Map<string, number>();
  for (const candidate of tensors) {
    covered.set(maskName(candidate), (covered.get(maskName(candidate)) ?? 0) + candidate.start.length);
  }
  const whole = [...covered.values()].reduce((a, b) => a + b, 0);
  return ({ parameters }, gradients) => {
    for (const [name, entries] of covered) {
      const logits = parameters.get(name)?.value;
      const sum = gradients.get(name);
      if (!logits || !sum) continue;
      const slope = (weight * entries) / whole / logits.length;
      logits.forEach((logit, i) => {
        sum[i] = (sum[i] as number) + slope * pushOf(logit);
      });
    }
  };
}

/** What the settings make moving cost, added to the gradients of masks. */
export function pricesOf(
  model: Pick<SourceModel, 'sections'>,
  candidates: Candidates,
  { maskCost, byteCost }: Pick<ModelRunConfig, 'maskCost' | 'byteCost'>,
): MaskPenalty[] {
  const isOpen = (logits: Float32Array) => Uint8Array.from(logits, (logit) => Number(logit >= 0));
  return [
    ...(maskCost ? [penaltyOf(maskCost.weight, blocksOfCandidates(model, candidates), isOpen)] : []),
    ...(byteCost ? [bytesPenalty(byteCost.weight, candidates)] : []),
  ];
}
