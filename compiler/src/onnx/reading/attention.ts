import type { Value } from '../../graph.js';
import type { Shape } from '../../tensor.js';
import { formatShape, makeTensor } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';

/** What a score that is not attended to becomes: as small as a float32 can be, and still a number. */
const NEVER = -3.4028234663852886e38;

/** `[N, heads, length, size]` of a query, key or value, which may come as `[N, length, heads * size]`. */
function byHead(c: NodeContext, position: number, heads: number | undefined, what: string): Value {
  const x = c.input(position);
  if (x.shape.length === 4) return x;
  const [batch, length, width] = x.shape;
  if (x.shape.length !== 3 || !heads || typeof width !== 'number' || width % heads !== 0) {
    return c.refuse(`expected ${what} of rank 4, or 3 and a number of heads, got ${formatShape(x.shape)}`);
  }
  const shape = [batch, length, heads, width / heads] as Shape;
  return c.emit('Transpose', [c.reshape(x, shape, `${what}/heads`)], { perm: [0, 2, 1, 3] }, what);
}

/** Each head as often as there are queries for it. */
function repeated(c: NodeContext, x: Value, heads: number, what: string): Value {
  const [batch, own, length, size] = x.shape as [Shape[number], ...Shape];
  if (own === heads) return x;
  if (typeof own !== 'number' || heads % own !== 0) return c.refuse(`shares ${own} heads among ${heads}`);
  const apart = c.reshape(x, [batch, own, 1, length, size] as Shape, `${what}/apart`);
  const wide = c.expand(apart, [batch, own, heads / own, length, size] as Shape, `${what}/wide`);
  return c.reshape(wide, [batch, heads, length, size] as Shape, `${what}/shared`);
}

function masked(c: NodeContext, scores: Value): Value {
  const mask = c.optional(3);
  let value = scores;
  if (mask?.dtype === 'bool') value = c.emit('Where', [mask, value, c.scalar(NEVER, 'never')], {}, 'masked');
  else if (mask) value = c.emit('Add', [value, mask], {}, 'masked');
  if (!c.flag('is_causal', 0)) return value;
  const [queries, keys] = scores.shape.slice(2);
  if (typeof queries !== 'number' || typeof keys !== 'number')
    return c.refuse('is causal over a length that is a symbol');
  const later = Array.from({ length: queries * keys }, (_, i) => (i % keys > Math.floor(i / keys) ? NEVER : 0));
  const causal = c.g.constant(makeTensor([queries, keys], later), `${c.node.outputs[0]}/later`);
  return c.emit('Add', [value, causal], {}, 'causal');
}

/** A query to which a mask of truths shows nothing gets zeros, not the mean of all. */
function shown(c: NodeContext, scores: Value, weights: Value): Value {
  if (c.optional(3)?.dtype !== 'bool') return weights;
  const isShown = c.emit('GreaterOrEqual', [scores, c.scalar(NEVER / 2, 'hidden')], {}, 'isShown');
  return c.emit('Mul', [weights, c.emit('Cast', [isShown], { to: 'float32' }, 'shown')], {}, 'weights/shown');
}

/** softmax(scale Q K^T + mask) V, without a past (Vaswani et al. 2017). */
function attention(c: NodeContext): Value {
  c.ignore('softmax_precision', 'qk_matmul_output_mode');
  if (c.slots.slice(4).some((slot) => slot)) return c.refuse('reads keys and values of before, which is not supported');
  if (c.float('softcap', 0) !== 0) return c.refuse('softcap is not supported');
  const flat = c.input(0).shape.length === 3;
  const query = byHead(c, 0, c.int('q_num_heads'), 'query');
  const [, heads, , size] = query.shape;
  if (typeof heads !== 'number' || typeof size !== 'number') return c.refuse('its heads are not known');
  const kv = c.int('kv_num_heads');
  const key = repeated(c, byHead(c, 1, kv, 'key'), heads, 'key');
  const value = repeated(c, byHead(c, 2, kv, 'value'), heads, 'value');
  const given = c.float('scale', 0);
  const scale = given === 0 ? 1 / Math.sqrt(size) : given;
  const scaled = c.emit('Mul', [query, c.scalar(scale, 'scale')], {}, 'scaled');
  const turned = c.emit('Transpose', [key], { perm: [0, 1, 3, 2] }, 'key/turned');
  const scores = masked(c, c.emit('MatMul', [scaled, turned], {}, 'scores'));
  const weights = shown(c, scores, c.emit('Softmax', [scores], { axis: -1 }, 'weights'));
  const mixed = c.emit('MatMul', [weights, value], {}, flat ? 'mixed' : 0);
  if (!flat) return mixed;
  const [batch, , length, width] = mixed.shape;
  const joined = c.emit('Transpose', [mixed], { perm: [0, 2, 1, 3] }, 'joined');
  return c.reshape(joined, [batch, length, heads * (width as number)] as Shape);
}

export const attentionReadings = {
  Attention: { needs: ['Softmax'], read: attention },
} satisfies Record<string, Reading>;
