/** `bundles/index.json`: the bundles that stand beside the page, by the names of their folders; the first is shown first. */
export interface BundleList {
  readonly bundles: readonly string[];
}
