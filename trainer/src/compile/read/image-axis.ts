/** The sizes of one tensor for two images, and for three. */
export type TwoSizes = readonly [two: readonly number[], three: readonly number[]];

/** The axis along which two tensors have parts of images; -1 where they have the same shape, undefined where none fits. */
export function imageAxis([two, three]: TwoSizes): number | undefined {
  if (two.length !== three.length) return undefined;
  const differing = two.flatMap((size, axis) => (size === three[axis] ? [] : [axis]));
  const [axis = -1, ...more] = differing;
  if (more.length > 0) return undefined;
  return axis < 0 || (two[axis] as number) * 3 === (three[axis] as number) * 2 ? axis : undefined;
}
