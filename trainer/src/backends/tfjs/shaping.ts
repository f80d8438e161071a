import { expand, operand, padAxes, type RuleOf, reshapeTo, sliceOf, stridedSlice, transpose } from './rule.js';

const fromFront = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

export const Reshape: RuleOf<'Reshape'> = {
  host: [1],
  run: (call) => {
    const x = operand(call, 0);
    // ONNX: 0 copies the size of that axis.
    const target = (call.numbers(1) ?? []).map((size, axis) => (size === 0 ? (x.shape[axis] as number) : size));
    return reshapeTo(call.tf, x, target);
  },
};

export const Flatten: RuleOf<'Flatten'> = {
  run: (call, { axis }) => {
    const x = operand(call, 0);
    const outer = x.shape.slice(0, fromFront(axis, x.rank)).reduce((a, b) => a * b, 1);
    return reshapeTo(call.tf, x, [outer, x.size / outer]);
  },
};

export const Squeeze: RuleOf<'Squeeze'> = {
  host: [1],
  run: (call) => {
    const x = operand(call, 0);
    const axes = call.numbers(1)?.map((axis) => fromFront(axis, x.rank));
    return reshapeTo(
      call.tf,
      x,
      x.shape.filter((size, axis) => (axes ? !axes.includes(axis) : size !== 1)),
    );
  },
};

export const Unsqueeze: RuleOf<'Unsqueeze'> = {
  host: [1],
  run: (call) => {
    const x = operand(call, 0);
    const given = call.numbers(1) ?? [];
    const rank = x.rank + given.length;
    const axes = new Set(given.map((axis) => fromFront(axis, rank)));
    const sizes = x.shape.values();
    return reshapeTo(
      call.tf,
      x,
      Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (sizes.next().value as number))),
    );
  },
};

export const Transpose: RuleOf<'Transpose'> = {
  run: (call, { perm }) => transpose(call.tf, operand(call, 0), perm),
};

export const Expand: RuleOf<'Expand'> = {
  host: [1],
  run: (call) => {
    const x = operand(call, 0);
    const target = call.numbers(1) ?? [];
    return expand(call.tf, x, call.tf.broadcast_util.assertAndGetBroadcastShape(x.shape, [...target]));
  },
};

export const Tile: RuleOf<'Tile'> = {
  host: [1],
  run: (call) =>
    (call.numbers(1) ?? []).reduce(
      (x, count, axis) => (count === 1 ? x : call.tf.concat(new Array(count).fill(x), axis)),
      operand(call, 0),
    ),
};

export const Concat: RuleOf<'Concat'> = {
  run: (call, { axis }) => {
    const parts = call.inputs.map((_, position) => operand(call, position));
    return call.tf.concat(parts, fromFront(axis, operand(call, 0).rank));
  },
};

export const Slice: RuleOf<'Slice'> = {
  host: [1, 2, 3, 4],
  run: (call) => {
    let x = operand(call, 0);
    const [starts, ends] = [call.numbers(1) ?? [], call.numbers(2) ?? []];
    const axes = call.numbers(3) ?? starts.map((_, axis) => axis);
    const steps = call.numbers(4) ?? starts.map(() => 1);
    const begin = x.shape.map(() => 0);
    const size = [...x.shape];
    const stride = x.shape.map(() => 1);
    axes.forEach((given, i) => {
      const axis = fromFront(given, x.rank);
      const dim = x.shape[axis] as number;
      const step = steps[i] as number;
      const [low, high] = step > 0 ? [0, dim] : [-1, dim - 1];
      const clamp = (at: number, bottom: number) => Math.min(high, Math.max(bottom, at < 0 ? at + dim : at));
      const start = clamp(starts[i] as number, 0);
      size[axis] = Math.max(0, Math.ceil((clamp(ends[i] as number, low) - start) / step));
      // Backwards is forwards in the reversed axis.
      if (step < 0) x = call.tf.reverse(x, axis);
      begin[axis] = step < 0 ? dim - 1 - start : start;
      stride[axis] = Math.abs(step);
    });
    return stridedSlice(call.tf, x, begin, size, stride);
  },
};

export const Pad: RuleOf<'Pad'> = {
  host: [1, 2, 3],
  run: (call, { mode }) => {
    const x = operand(call, 0);
    const given = call.numbers(1) ?? [];
    const axes = call.numbers(3) ?? x.shape.map((_, axis) => axis);
    const pads = x.shape.map((): [number, number] => [0, 0]);
    axes.forEach((axis, i) => {
      pads[fromFront(axis, x.rank)] = [given[i] as number, given[i + axes.length] as number];
    });
    if (mode === 'constant') return padAxes(call.tf, x, pads, call.numbers(2)?.[0] ?? 0);
    if (mode === 'reflect') return call.tf.mirrorPad(x, pads, 'reflect');
    return pads.reduce((padded, [before, after], axis) => {
      const size = padded.shape[axis] as number;
      const line = (at: number) =>
        sliceOf(
          call.tf,
          padded,
          padded.shape.map((_, i) => (i === axis ? at : 0)),
          padded.shape.map((n, i) => (i === axis ? 1 : n)),
        );
      const copies = [...new Array(before).fill(line(0)), padded, ...new Array(after).fill(line(size - 1))];
      return copies.length === 1 ? padded : call.tf.concat(copies, axis);
    }, x);
  },
};

export const Gather: RuleOf<'Gather'> = {
  run: (call, { axis }) => {
    const [x, indices] = [operand(call, 0), operand(call, 1)];
    const at = fromFront(axis, x.rank);
    const { tf } = call;
    const size = tf.scalar(x.shape[at] as number, 'int32');
    // ONNX counts from the back where an index is negative.
    const wrapped = tf.where(tf.less(indices, tf.scalar(0, 'int32')), tf.add(indices, size), indices);
    return tf.gather(x, wrapped as Parameters<typeof tf.gather>[1], at);
  },
};
