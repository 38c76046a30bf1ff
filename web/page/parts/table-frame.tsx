import type { ComponentChildren, JSX } from 'preact'

/** A table that scrolls by itself: it takes the focus, so that the keyboard scrolls it, too. */
export const TableFrame = ({ label, children }: { label: string; children: ComponentChildren }): JSX.Element => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
  <section class="table-frame" tabIndex={0} aria-label={label}>
    {children}
  </section>
)
