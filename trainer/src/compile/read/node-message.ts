/** Nodes of a file, as they are written into it. */
export interface AttributeMessage {
  readonly name: string;
  readonly type?: number;
  readonly i?: unknown;
  readonly f?: number;
}

export interface NodeMessage {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly domain?: string;
  readonly attribute?: readonly AttributeMessage[];
}

/** A node that makes one tensor and is called as that; inputs left out at the end are named ''. */
export const node = (
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly AttributeMessage[] = [],
) => ({
  opType,
  name: output,
  input: input.at(-1) === '' ? input.slice(0, -1) : input,
  output: [output],
  attribute,
});
