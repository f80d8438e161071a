/** The messages of the format as protobufjs holds them, where a file is rewritten rather than read. */
export interface TensorMessage {
  name: string;
  dims: unknown[];
  dataType: number;
  rawData: Uint8Array;
  floatData: number[];
  int32Data: number[];
  int64Data: unknown[];
  doubleData: number[];
  uint64Data: unknown[];
  externalData: { key?: string; value?: string }[];
  dataLocation: number;
}

export interface AttributeMessage {
  name: string;
  type: number;
  f?: number;
  /** An int64, as all of `ints`. */
  i?: unknown;
  ints?: unknown[];
  t?: TensorMessage | null;
  tensors?: TensorMessage[];
  g?: Uint8Array;
  graphs?: Uint8Array[];
  /** The attribute of the function around it whose value this one has. */
  refAttrName?: string;
}

export interface NodeMessage {
  input: string[];
  output: string[];
  name?: string;
  opType?: string;
  domain?: string;
  overload?: string;
  attribute?: AttributeMessage[];
}

export interface OpsetMessage {
  domain?: string;
  version?: unknown;
}

/** An operator that the model defines itself, of others. */
export interface FunctionMessage {
  name: string;
  domain: string;
  overload: string;
  input: string[];
  output: string[];
  node: NodeMessage[];
  opsetImport: OpsetMessage[];
  /** Attributes with what they are where a call does not say. */
  attributeProto: AttributeMessage[];
}

export interface GraphMessage {
  node: NodeMessage[];
  initializer: TensorMessage[];
  input: { name: string }[];
  output: { name: string }[];
  valueInfo: { name: string }[];
  sparseInitializer: Uint8Array[];
}

export interface ModelMessage {
  irVersion?: unknown;
  producerName?: string;
  opsetImport: OpsetMessage[];
  functions: FunctionMessage[];
  graph?: GraphMessage | null;
}
