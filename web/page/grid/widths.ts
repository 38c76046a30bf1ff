/*
 * How wide columns are: as their names and their first rows need, and somewhat more where the table leaves room. Numbers in,
 * numbers out; the element measures.
 */

/** Left and right of a cell's text (10 px each, as the style sheet has it), and what rounding may cost. */
const PADDING_PIXELS = 21
/** The arrow of a sorted column, beside its name. */
const SORT_MARK_PIXELS = 12
const MIN_PIXELS = 64
/** A column of long texts takes more only of room that nobody else needs. */
const MAX_PIXELS = 380
/** A short column in a wide window stays near its neighbours. */
const MAX_GROWTH_PIXELS = 72

/** What a column would like to have, for its name and the widest text among its cells. */
export const wishedWidth = (name: number, cells: number): number =>
  Math.ceil(Math.max(MIN_PIXELS, Math.max(name + SORT_MARK_PIXELS, cells) + PADDING_PIXELS))

/**
 * Widths for wishes in a table that shows `room` pixels. What is left over goes to texts that do not fit first, then to all alike.
 * A chosen width (not null) stays as it is.
 */
export const fitWidths = (wishes: number[], chosen: (number | null)[], room: number): number[] => {
  const widths = wishes.map((wish, at) => chosen[at] ?? Math.min(wish, MAX_PIXELS))
  let free = Math.floor(room) - widths.reduce((sum, width) => sum + width, 0)
  const give = (limit: (at: number, width: number) => number): void => {
    // The one that takes least first: what it leaves is shared by the others.
    const takers = widths
      .map((width, at) => ({ at, most: chosen[at] == null ? Math.max(0, Math.floor(limit(at, width))) : 0 }))
      .filter(({ most }) => most > 0)
      .sort((a, b) => a.most - b.most)
    for (const [index, { at, most }] of takers.entries()) {
      if (free <= 0) return
      const share = Math.min(most, Math.ceil(free / (takers.length - index)))
      widths[at] = (widths[at] ?? 0) + share
      free -= share
    }
  }
  give((at, width) => (wishes[at] ?? 0) - width)
  give(() => MAX_GROWTH_PIXELS)
  return widths
}

export interface ShownColumns {
  first: number
  last: number
  /** Width of what lies left of the first one. */
  before: number
}

/** The columns that touch the part between `left` and `left + room`. */
export const shownColumns = (widths: number[], left: number, room: number): ShownColumns => {
  let at = 0
  let first = -1
  let last = -1
  let before = 0
  for (const [index, width] of widths.entries()) {
    if (at + width > left && at < left + room) {
      if (first < 0) {
        first = index
        before = at
      }
      last = index
    }
    at += width
  }
  return { first: Math.max(0, first), last, before }
}

/** Where to scroll to show a column, moving as little as possible; the start of one that is too wide. */
export const revealLeft = (widths: number[], column: number, left: number, room: number): number => {
  const start = widths.slice(0, column).reduce((sum, width) => sum + width, 0)
  const width = widths[column] ?? 0
  if (start < left) return start
  return start + width > left + room ? Math.min(start, start + width - room) : left
}
