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
  t?: TensorMessage | null;
  tensors?: TensorMessage[];
  g?: Uint8Array;
  graphs?: Uint8Array[];
}

export interface NodeMessage {
  input: string[];
  output: string[];
  name?: string;
  opType?: string;
  domain?: string;
  attribute?: AttributeMessage[];
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
  opsetImport: { domain?: string; version?: unknown }[];
  functions: { node: NodeMessage[] }[];
  graph?: GraphMessage | null;
}
