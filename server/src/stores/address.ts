/** How the file of a dump ends. */
const DUMP = '.jsonl';

/** Whether an address is that of a dump: a file to copy stores to and from. */
export const isDump = (address: string): boolean => address.endsWith(DUMP);

/** A store's address without its password. */
export function maskAddress(address: string): string {
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(address)) return address;
  try {
    const url = new URL(address);
    if (url.password !== '') url.password = '***';
    for (const name of url.searchParams.keys()) if (/pass/i.test(name)) url.searchParams.set(name, '***');
    return url.href;
  } catch {
    return '***';
  }
}
