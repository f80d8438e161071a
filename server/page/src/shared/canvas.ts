/** A canvas that nobody sees and that is read often. Throws where the browser gives none. */
export function unseenCanvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser gives no canvas');
  return context;
}
