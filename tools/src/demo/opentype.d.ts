// opentype.js 2 ships no types; this is the part of it that the demo images use.
declare module 'opentype.js' {
  export interface BoundingBox {
    readonly x1: number;
    readonly y1: number;
    readonly x2: number;
    readonly y2: number;
  }

  export interface Path {
    getBoundingBox(): BoundingBox;
    toPathData(decimalPlaces: number): string;
  }

  export interface Font {
    readonly unitsPerEm: number;
    charToGlyphIndex(character: string): number;
    charToGlyph(character: string): { getPath(x: number, y: number, fontSize: number): Path };
  }

  const opentype: { parse(buffer: ArrayBuffer): Font };
  export default opentype;
}
