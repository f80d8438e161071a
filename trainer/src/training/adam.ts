/** A parameter with its optimizer state. */
export interface AdamState {
  readonly value: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

export function adamState(value: Float32Array): AdamState {
  return { value, first: new Float32Array(value.length), second: new Float32Array(value.length) };
}

/**
 * One step of Adam (Kingma & Ba 2015, algorithm 1) in place, with beta 0.9 and 0.999 and epsilon 1e-8.
 * `step` counts from 1.
 */
export function adamStep(state: AdamState, gradient: Float32Array, rate: number, step: number): void {
  const { value, first, second } = state;
  const correctFirst = 1 / (1 - 0.9 ** step);
  const correctSecond = 1 / (1 - 0.999 ** step);
  for (let i = 0; i < value.length; i++) {
    const g = gradient[i] as number;
    const m = 0.9 * (first[i] as number) + 0.1 * g;
    const v = 0.999 * (second[i] as number) + 0.001 * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = (value[i] as number) - (rate * m * correctFirst) / (Math.sqrt(v * correctSecond) + 1e-8);
  }
}
