import { isSplitFolder } from './class-lists.js';
import { isSplitFile } from './label-files.js';

/**
 * The folder around all classes among names of files, as the start of these: `photos/` of `photos/<class>/<image>`, whatever files stand beside it. Empty where there
 * is none: several folders, one of images, a split, or files of splits beside it.
 */
export function folderAround(names: readonly string[]): string {
  let around = '';
  for (;;) {
    const below = names.filter((name) => name.startsWith(around)).map((name) => name.slice(around.length).split('/'));
    const [folder, ...others] = new Set(below.flatMap(([first, ...rest]) => (first && rest.length > 0 ? [first] : [])));
    const hasFolders = below.some((parts) => parts.length > 2);
    const isData = below.some((parts) => parts.length === 1 && isSplitFile(parts[0] as string));
    if (folder === undefined || others.length > 0 || !hasFolders || isData || isSplitFolder(folder)) return around;
    around += `${folder}/`;
  }
}
