const bits = new DataView(new ArrayBuffer(4));

/** The 16 bits of the half-precision float nearest to a number, ties to even. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (Number.isNaN(value)) return 0x7e00;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  bits.setFloat32(0, magnitude);
  // The step between neighbours: 2^-24 below the normal range, else 2^-10 of the power of two below.
  const exponent = Math.max((bits.getUint32(0) >>> 23) - 127, -14);
  const steps = magnitude / 2 ** (exponent - 10);
  const whole = Math.floor(steps);
  const over = steps - whole;
  const rounded = over > 0.5 || (over === 0.5 && whole % 2 === 1) ? whole + 1 : whole;
  // A mantissa that rounds up to the next power of two carries into the exponent by itself.
  return sign | (rounded + (exponent + 14) * 1024);
}

/** How far halves may be from what they stand for, as a part of its length: rounding alone is 0.0003. */
const HALF_DISTANCE = 0.0005;

/**
 * Numbers as halves; undefined where these are too coarse, or too short of range, for them. Of tiny numbers among others less than 3e-8 is
 * lost, which the epsilon of a normalization behind them keeps small.
 */
export function halvesOf(values: Float32Array): Uint16Array | undefined {
  const halves = Uint16Array.from(values, toHalf);
  let [apart, length] = [0, 0];
  for (const [i, value] of values.entries()) {
    apart += (fromHalf(halves[i] as number) - value) ** 2;
    length += value ** 2;
  }
  // Of what is not finite neither.
  return Math.sqrt(apart) <= HALF_DISTANCE * Math.sqrt(length) ? halves : undefined;
}

/** The number that 16 bits of a half-precision float stand for. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
