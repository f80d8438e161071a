import { OnnxError } from '../errors.js';
import { decodeInner } from '../inner-graphs.js';
import type {
  AttributeMessage,
  FunctionMessage,
  GraphMessage,
  ModelMessage,
  NodeMessage,
  OpsetMessage,
} from '../messages.js';
import { onnxMessage } from '../schema.js';
import { freeName, identity, renamedNode } from './rename.js';

/** Nodes that calls may unfold to, and how deep they may stand in each other: a few bytes can ask for any number. */
const MOST = { nodes: 100_000, deep: 64 };

const domainOf = (domain: string | undefined): string => domain || 'ai.onnx';
const keyOf = (domain: string | undefined, name: string | undefined, overload: string | undefined): string =>
  `${domainOf(domain)}:${name ?? ''}:${overload ?? ''}`;

/** Whether the nodes of a function mean the same in the model; operator sets that only it names are added to the model's. */
function importsAgree(model: ModelMessage, { opsetImport }: FunctionMessage): boolean {
  const versions = new Map(model.opsetImport.map(({ domain, version }) => [domainOf(domain), Number(version)]));
  const agree = ({ domain, version }: OpsetMessage) =>
    (versions.get(domainOf(domain)) ?? Number(version)) === Number(version);
  if (!opsetImport.every(agree)) return false;
  for (const each of opsetImport) if (!versions.has(domainOf(each.domain))) model.opsetImport.push(each);
  return true;
}

class Inliner {
  readonly #functions = new Map<string, FunctionMessage>();
  #left = MOST.nodes;

  constructor(
    readonly model: ModelMessage,
    readonly taken: Set<string>,
  ) {
    for (const each of model.functions) {
      const key = keyOf(each.domain, each.name, each.overload);
      if (each.node.length > 0 && importsAgree(model, each)) this.#functions.set(key, each);
    }
  }

  /** Whether no function has to stay. */
  get unfoldsAll(): boolean {
    return this.#functions.size === this.model.functions.length;
  }

  /** The nodes, with the bodies of functions in place of their calls. `stack`: the functions that are being unfolded. */
  expand(nodes: readonly NodeMessage[], stack: readonly FunctionMessage[] = []): NodeMessage[] {
    return nodes.flatMap((node) => {
      const called = this.#functions.get(keyOf(node.domain, node.opType, node.overload));
      if (!called) return [this.#expandInner(node, stack)];
      const name = `${domainOf(called.domain)}:${called.name}`;
      if (stack.includes(called)) throw new OnnxError(`function "${name}" of the model calls itself`);
      if (stack.length >= MOST.deep) {
        throw new OnnxError(`function "${name}": functions call each other more than ${MOST.deep} deep`);
      }
      this.#left -= called.node.length;
      if (this.#left < 0) throw new OnnxError(`functions of the model unfold to more than ${MOST.nodes} nodes`);
      return this.expand(this.#bodyOf(node, called), [...stack, called]);
    });
  }

  #expandInner(node: NodeMessage, stack: readonly FunctionMessage[]): NodeMessage {
    const attribute = (node.attribute ?? []).map((each) => {
      if (!each.g?.length) return each;
      const inner = decodeInner(node, each.g, 1);
      inner.node = this.expand(inner.node, stack);
      return { ...each, g: onnxMessage('GraphProto').encode(inner).finish() };
    });
    return { ...node, attribute };
  }

  #bodyOf(call: NodeMessage, { input, output, node, attributeProto }: FunctionMessage): NodeMessage[] {
    const prefix = call.output.find((name) => name !== '') ?? call.opType ?? '';
    const names = new Map(input.map((name, i) => [name, call.input[i] ?? '']));
    const passedOn: NodeMessage[] = [];
    output.forEach((name, i) => {
      const made = call.output[i] ?? '';
      if (made === '') return;
      if (names.has(name)) passedOn.push(identity(names.get(name) as string, made));
      else names.set(name, made);
    });
    const rename = (name: string): string => {
      const known = names.get(name);
      if (known !== undefined) return known;
      const made = freeName(`${prefix}/${name}`, this.taken);
      names.set(name, made);
      return made;
    };
    const attributes = new Map<string, AttributeMessage>();
    for (const each of [...attributeProto, ...(call.attribute ?? [])]) attributes.set(each.name, each);
    const copies = node.map((each) => renamedNode(each, { rename, attributes }));
    return [...copies.map((each) => (each.name ? { ...each, name: `${prefix}/${each.name}` } : each)), ...passedOn];
  }
}

/**
 * Puts the bodies of the model's functions where they are called, so that nothing after it has to know of them. A
 * function of another operator set than the model stays. Throws {@link OnnxError} where they call themselves, or unfold
 * to more nodes than can be held.
 */
export function inlineFunctions(model: ModelMessage, graph: GraphMessage, taken: Set<string>): void {
  if (model.functions.length === 0) return;
  const inliner = new Inliner(model, taken);
  graph.node = inliner.expand(graph.node);
  if (inliner.unfoldsAll) model.functions = [];
}
