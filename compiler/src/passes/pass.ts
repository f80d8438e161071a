import type { Graph } from '../graph.js';

/** A rewriting of a graph that keeps its meaning, its inputs and the names of its outputs. */
export type Pass = (graph: Graph) => { readonly graph: Graph; readonly changed: boolean };
