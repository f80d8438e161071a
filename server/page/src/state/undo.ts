import { type ClassOf, isSameName, type Picture } from './model.js';

type Classes = readonly ClassOf[];

const insertedAt = <T>(list: readonly T[], index: number, item: T): T[] => [
  ...list.slice(0, index),
  item,
  ...list.slice(index),
];

const idsOf = (all: Iterable<{ readonly id: string }>): Set<string> => new Set([...all].map(({ id }) => id));
const picturesIn = (classes: Classes): Picture[] => classes.flatMap(({ pictures }) => pictures);

/**
 * What takes a change of classes back, whatever else has changed by then: pictures that came go, those that went or moved return to their
 * place, and so do classes and names.
 */
export function inverse(before: Classes, after: Classes): (now: Classes) => Classes {
  const [was, is] = [idsOf(before), idsOf(after)];
  const [hadPictures, hasPictures] = [idsOf(picturesIn(before)), idsOf(picturesIn(after))];
  /** In which class a picture was. */
  const home = new Map(before.flatMap((one) => one.pictures.map((picture, index) => [picture.id, { one, index }])));
  const away = new Map(after.flatMap((one) => one.pictures.map(({ id }) => [id, one.id] as const)));
  return (now) => {
    const present = new Map(picturesIn(now).map((picture) => [picture.id, picture]));
    // Pictures that came with the change, or that it moved, leave where they are.
    const leaves = ({ id }: Picture) =>
      (hasPictures.has(id) && !hadPictures.has(id)) ||
      (home.has(id) && away.has(id) && home.get(id)?.one.id !== away.get(id));
    let classes: ClassOf[] = now.map((one) => ({ ...one, pictures: one.pictures.filter((each) => !leaves(each)) }));
    // Classes that came with it go, unless something else is in them by now.
    classes = classes.filter(({ id, pictures }) => was.has(id) || !is.has(id) || pictures.length > 0);
    for (const [index, gone] of before.entries()) {
      if (is.has(gone.id) || classes.some(({ id }) => id === gone.id)) continue;
      const same = classes.find(({ name }) => isSameName(name, gone.name));
      if (!same) classes = insertedAt(classes, index, { ...gone, pictures: [] });
    }
    for (const [id, { one, index }] of home) {
      const picture = present.get(id) ?? (away.has(id) ? undefined : one.pictures[index]);
      const isHome = classes.some(({ pictures }) => pictures.some((each) => each.id === id));
      if (!picture || isHome) continue;
      const target =
        classes.find((each) => each.id === one.id) ?? classes.find((each) => isSameName(each.name, one.name));
      classes = classes.map((each) =>
        each === target ? { ...each, pictures: insertedAt(each.pictures, index, picture) } : each,
      );
    }
    return classes.map((one) => {
      const [old, changed] = [before, after].map((all) => all.find(({ id }) => id === one.id)?.name);
      const isTaken = classes.some(({ id, name }) => id !== one.id && old !== undefined && isSameName(name, old));
      return old === undefined || changed === undefined || old === changed || isTaken ? one : { ...one, name: old };
    });
  };
}
