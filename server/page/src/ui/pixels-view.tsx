import { useEffect, useRef } from 'preact/hooks';
import { opened } from '../state/signals.js';

/** Pixels as the bundle sees them; without a label where what is around says it. */
export function PixelsView({ pixels, label }: { pixels: Uint8Array; label?: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width = 1, height = 1, channels = 1 } = opened.value?.manifest.preprocessing ?? {};
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[i * 4 + c] = pixels[i * channels + (channels === 3 ? c : 0)] ?? 0;
      image.data[i * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }, [pixels, width, height, channels]);
  const named = label ? ({ role: 'img', 'aria-label': label } as const) : ({ 'aria-hidden': true } as const);
  return <canvas ref={canvas} class="pixels" width={width} height={height} {...named} />;
}
