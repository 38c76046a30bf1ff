/**
 * Where what had the focus went away with its place, the content gets it: the next Tab goes on there, and not through the whole rail.
 * Focus that somebody has put elsewhere is left alone.
 */
export const keepFocus = (): void => {
  const has = document.activeElement
  if (has === null || has === document.body) document.getElementById('main')?.focus({ preventScroll: true })
}
