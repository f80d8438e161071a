/** Moves the focus, once the page is drawn anew, to what stands where something was removed; else to what is named after it. */
export async function focusAt(
  root: HTMLElement | null,
  selector: string,
  index: number,
  otherwise: string,
): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  const all = root?.querySelectorAll<HTMLElement>(selector) ?? [];
  (all[Math.min(index, all.length - 1)] ?? root?.querySelector<HTMLElement>(otherwise))?.focus();
}
