import type { SourceModel } from '../compile/read/read-model.js';
import { computed, type LayerMasks, type MaskPenalty, penaltyOf, pushOf } from '../training/mask-cost.js';
import type { Candidates } from './candidates.js';
import type { ModelRunConfig } from './config.js';
import { maskName } from './learned.js';
import { bytesByDepth } from './memory.js';

/** Multiply-adds of the blocks of candidates, by their numbers, from the image upward. */
function costsOfBlocks({ sections }: SourceModel, { tensors }: Candidates): Map<number, number> {
  const blockOf = new Map(tensors.map(({ parameter, block }) => [parameter, block]));
  const found = new Map<number, number>();
  let block: number | undefined;
  for (const { parameters, multiplyAdds } of sections) {
    // What has no parameters that may move belongs to the block below it.
    block = parameters.map((parameter) => blockOf.get(parameter)).find((each) => each !== undefined) ?? block;
    if (block !== undefined) found.set(block, (found.get(block) ?? 0) + multiplyAdds);
  }
  return found;
}

type Paid = Pick<LayerMasks, 'own' | 'reached'>;

/** Blocks of candidates from the image upward, with what they compute. */
function computedBlocks(model: SourceModel, candidates: Candidates): Map<number, Paid> {
  const costs = costsOfBlocks(model, candidates);
  const paid = computed([...costs.values()]);
  return new Map([...costs.keys()].map((block, k) => [block, paid[k] as Paid]));
}

/** Blocks of candidates from the image upward, with what a step holds more of where each moves than where those above it do. */
function heldBlocks(model: SourceModel, candidates: Candidates): Map<number, Paid> {
  let above = 0;
  const held = [...bytesByDepth(model, candidates)].map(([block, bytes]): [number, Paid] => {
    const more = Math.max(0, bytes - above);
    above += more;
    return [block, { own: 0, reached: more }];
  });
  return new Map(held.reverse());
}

/** Blocks with the masks that cover them. */
function maskedBlocks(paid: ReadonlyMap<number, Paid>, { tensors }: Candidates): LayerMasks[] {
  return [...paid].map(([block, each]) => {
    const masks = new Map<string, number>();
    let parameters = 0;
    for (const candidate of tensors) {
      if (candidate.block !== block) continue;
      const name = maskName(candidate);
      masks.set(name, (masks.get(name) ?? 0) + candidate.start.length);
      parameters += candidate.start.length;
    }
    return { ...each, masks, parameters };
  });
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
  model: SourceModel,
  candidates: Candidates,
  { maskCost, byteCost, memoryCost }: Pick<ModelRunConfig, 'maskCost' | 'byteCost' | 'memoryCost'>,
): MaskPenalty[] {
  const isOpen = (logits: Float32Array) => Uint8Array.from(logits, (logit) => Number(logit >= 0));
  const priced = (weight: number, paid: ReadonlyMap<number, Paid>) =>
    penaltyOf(weight, maskedBlocks(paid, candidates), isOpen);
  return [
    ...(maskCost ? [priced(maskCost.weight, computedBlocks(model, candidates))] : []),
    ...(byteCost ? [bytesPenalty(byteCost.weight, candidates)] : []),
    ...(memoryCost ? [priced(memoryCost.weight, heldBlocks(model, candidates))] : []),
  ];
}
