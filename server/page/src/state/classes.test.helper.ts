import type { ClassOf } from './model.js';

/** Classes by their names, which are their ids too, with pictures by theirs. */
export const classesOf = (all: Readonly<Record<string, string>>): ClassOf[] =>
  Object.entries(all).map(([id, pictures]) => ({
    id,
    name: id,
    elsewhere: 0,
    pictures: [...pictures].map((picture) => ({ id: picture, pixels: Uint8Array.of(picture.charCodeAt(0)) })),
  }));
