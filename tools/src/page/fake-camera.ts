import { writeFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import sharp from 'sharp';

// What Chromium's fake camera plays: scenes one after the other, over and over, each of several pictures of one thing. The page looks at the
// square in the middle; the strip on the left tells tests which scene is on.

/** Pictures that are shown one after the other. */
export type Scene = readonly Uint8Array[];

const [WIDTH, HEIGHT] = [640, 480];
/** Frames that each picture is there for, of 30 a second. */
const FRAMES = 12;
/** Levels of grey between the strips of two scenes. */
const STEP = 26;

/** Writes scenes as a file for `--use-file-for-fake-video-capture`: its name ends in `.mjpeg`. */
export async function writeScenes(file: string, scenes: readonly Scene[]): Promise<void> {
  const frames: Buffer[] = [];
  for (const [i, scene] of scenes.entries()) {
    const level = (i + 1) * STEP;
    const create = { width: WIDTH, height: HEIGHT, channels: 3, background: { r: level, g: level, b: level } } as const;
    for (const picture of scene) {
      const input = await sharp(picture).resize(HEIGHT, HEIGHT).png().toBuffer();
      const left = (WIDTH - HEIGHT) / 2;
      const frame = await sharp({ create })
        .composite([{ input, left, top: 0 }])
        .jpeg({ quality: 88 })
        .toBuffer();
      for (let k = 0; k < FRAMES; k++) frames.push(frame);
    }
  }
  await writeFile(file, Buffer.concat(frames));
}

/** What Chromium is started with, so that its camera plays a file and nobody is asked for permission. */
export const cameraArguments = (file: string): readonly string[] => [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  `--use-file-for-fake-video-capture=${file}`,
];

/** Which scene the page's camera shows now; undefined where it shows none. */
export async function sceneOf(page: Page): Promise<number | undefined> {
  const level = await page.evaluate(() => {
    const video = document.querySelector('video');
    if (!video?.videoWidth) return 0;
    const context = new OffscreenCanvas(8, 8).getContext('2d', { willReadFrequently: true });
    context?.drawImage(video, 8, video.videoHeight / 2, 8, 8, 0, 0, 8, 8);
    return context?.getImageData(4, 4, 1, 1).data[0] ?? 0;
  });
  // Chromium takes the levels of its file for those of television, 16 to 235.
  const scene = Math.round((16 + (level * 219) / 255) / STEP) - 1;
  return scene < 0 ? undefined : scene;
}

/** Waits until a scene begins. */
export async function waitForScene(page: Page, scene: number): Promise<void> {
  for (let last = scene; ; ) {
    const now = await sceneOf(page);
    if (now === scene && last !== scene) return;
    last = now ?? scene;
    await page.waitForTimeout(30);
  }
}
