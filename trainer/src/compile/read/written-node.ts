/** Nodes of a file, as they are written into it. */
export interface WrittenAttribute {
  readonly name: string;
  readonly type?: number;
  readonly i?: unknown;
  readonly f?: number;
}

export interface WrittenNode {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly domain?: string;
  readonly attribute?: readonly WrittenAttribute[];
}

/** A node that makes one tensor and is called as that; inputs left out at the end are named ''. */
export const node = (
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly WrittenAttribute[] = [],
) => ({
  opType,
  name: output,
  input: input.at(-1) === '' ? input.slice(0, -1) : input,
  output: [output],
  attribute,
});
