/** Values of some images, `[images, features]` row by row. */
interface Features {
  readonly values: Float32Array;
  readonly images: number;
}

/** Products of each two images' features, of which the mean over images was taken: `[images, images]`. */
function centredProducts({ values, images }: Features): Float64Array {
  const length = values.length / images;
  const means = new Float64Array(length);
  for (let i = 0; i < values.length; i++) means[i % length] = (means[i % length] as number) + (values[i] as number);
  // Divided last, so that the mean of equal values is exactly theirs.
  for (let i = 0; i < length; i++) means[i] = (means[i] as number) / images;
  const products = new Float64Array(images * images);
  for (let a = 0; a < images; a++) {
    for (let b = a; b < images; b++) {
      let sum = 0;
      for (let i = 0; i < length; i++) {
        const mean = means[i] as number;
        sum += ((values[a * length + i] as number) - mean) * ((values[b * length + i] as number) - mean);
      }
      products[a * images + b] = sum;
      products[b * images + a] = sum;
    }
  }
  return products;
}

const dot = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);

/**
 * How alike two representations of the same images are, 0 to 1: linear centred kernel alignment (Kornblith et al. 2019, eq. 1), which knows no
 * rotation of the features and no scale. 1 where neither tells images apart, 0 where only one does not.
 */
export function alignment(one: Float32Array, other: Float32Array, images: number): number {
  const [a, b] = [centredProducts({ values: one, images }), centredProducts({ values: other, images })];
  return likeness(a, b);
}

/** Cosine of two rows. Where both have no length it is 1, where one has none 0: that collapsed. */
function likeness(a: Float64Array, b: Float64Array): number {
  const [ofA, ofB] = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
  if (ofA === 0 || ofB === 0) return ofA === ofB ? 1 : 0;
  return dot(a, b) / (ofA * ofB);
}

/** Mean cosine of each image's features by one with those by the other: 1 where both are without length, 0 where one is. */
export function meanCosine(one: Float32Array, other: Float32Array, images: number): number {
  const length = one.length / images;
  let sum = 0;
  for (let image = 0; image < images; image++) {
    const [a, b] = [one, other].map((all) => Float64Array.from(all.subarray(image * length, (image + 1) * length)));
    sum += likeness(a as Float64Array, b as Float64Array);
  }
  return sum / images;
}
