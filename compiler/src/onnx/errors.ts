/** One thing of a model that cannot be read: an operator that is not supported, or a node that does not fit. */
export interface OnnxProblem {
  /** Operator as the model spells it. */
  readonly op: string;
  /** Operator set of `op`; `ai.onnx` is ONNX's own. */
  readonly domain: string;
  /** Node name, or the name of its first output where the node has none. */
  readonly node: string;
  /** First output of the node that has a name, which names it where several have one name. */
  readonly output: string;
  /** Absent where the operator is not known at all. */
  readonly reason?: string;
}

/** An ONNX file that cannot be read: malformed, or with parts that are not supported, all of them listed. */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
  /** Every node that stands in the way; empty where the file itself is malformed. */
  readonly problems: readonly OnnxProblem[];
  /** The operator set of the model, where that is what cannot be read. */
  readonly opset: number | undefined;

  constructor(message: string, options: { cause?: unknown; problems?: readonly OnnxProblem[]; opset?: number } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.problems = options.problems ?? [];
    this.opset = options.opset;
  }
}

/** One line an unknown operator, with its nodes; one line each other problem. */
export function listProblems(problems: readonly OnnxProblem[]): string[] {
  const unknown = new Map<string, string[]>();
  const lines: string[] = [];
  for (const { op, domain, node, reason } of problems) {
    if (reason !== undefined) {
      lines.push(`${op} "${node}": ${reason}`);
      continue;
    }
    const key = `unsupported operator ${op} (${domain})`;
    unknown.set(key, [...(unknown.get(key) ?? []), `"${node}"`]);
  }
  const operators = [...unknown].map(([key, nodes]) => `${key}: ${nodes.join(', ')}`);
  return [...operators, ...lines];
}

export function formatProblems(problems: readonly OnnxProblem[], opset: number): string {
  return [`the model (opset ${opset}) cannot be read:`, ...listProblems(problems)].join('\n  ');
}
