import type { ComponentChildren } from 'preact';

/** What may be wider than the screen: scrolled by a finger, a mouse or the arrow keys. */
export function ScrollArea({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without the focus the arrow keys do not scroll it.
    <section class="scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
