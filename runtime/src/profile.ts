export interface Profile {
  readonly classes: readonly string[];
}
