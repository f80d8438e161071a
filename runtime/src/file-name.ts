/** Whether a path names a file inside a bundle: plain parts, none of which leads up or stays. */
export const isFileName = (path: string): boolean =>
  /^[\w.-]+(\/[\w.-]+)*$/.test(path) && !path.split('/').some((part) => /^\.+$/.test(part));

/** Whether a bundle at this place or address is one file. */
export const isArchive = (place: string): boolean => /\.whet([?#].*)?$/.test(place);

/** The folder of a path, with its slash at the end, and the name in it. */
export function splitPath(path: string): [folder: string, name: string] {
  const end = path.lastIndexOf('/') + 1;
  return [path.slice(0, end), path.slice(end)];
}
