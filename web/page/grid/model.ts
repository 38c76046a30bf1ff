/*
 * The grid without a document: geometry of a table with more rows than an element can be high, focus and selection, and what
 * each key does. Everything is numbers in, numbers out.
 */

export const ROW_PIXELS = 26
/** Browsers stop at some 33 million pixels; below this they all agree. */
export const MAX_SCROLL_PIXELS = 8_000_000

export interface Geometry {
  rows: number
  /** Height of the part that shows rows. */
  viewport: number
}

/** Height of the scrolled element: honest up to the limit, then scaled. */
export const scrollHeight = ({ rows }: Geometry): number => Math.min(rows * ROW_PIXELS, MAX_SCROLL_PIXELS)

const range = ({ rows, viewport }: Geometry): { virtual: number; real: number } => ({
  virtual: Math.max(0, rows * ROW_PIXELS - viewport),
  real: Math.max(0, Math.min(rows * ROW_PIXELS, MAX_SCROLL_PIXELS) - viewport),
})

export const isScaled = ({ rows }: Geometry): boolean => rows * ROW_PIXELS > MAX_SCROLL_PIXELS

/** Where the table's top edge is, in unscaled pixels, when the element is scrolled to `scrollTop`. */
export const virtualTop = (geometry: Geometry, scrollTop: number): number => {
  const { virtual, real } = range(geometry)
  return real === 0 ? 0 : Math.min(virtual, Math.max(0, (scrollTop / real) * virtual))
}

/** …and back. */
export const realTop = (geometry: Geometry, top: number): number => {
  const { virtual, real } = range(geometry)
  return virtual === 0 ? 0 : (Math.min(virtual, Math.max(0, top)) / virtual) * real
}

/** The top that shows `row` wholly, moving as little as possible. */
export const reveal = (geometry: Geometry, top: number, row: number): number => {
  const start = row * ROW_PIXELS
  if (start < top) return start
  if (start + ROW_PIXELS > top + geometry.viewport) return start + ROW_PIXELS - geometry.viewport
  return top
}

/** Rows that touch the viewport. */
export const visibleRows = (geometry: Geometry, top: number): { from: number; until: number } => ({
  from: Math.max(0, Math.floor(top / ROW_PIXELS)),
  until: Math.min(geometry.rows, Math.ceil((top + geometry.viewport) / ROW_PIXELS)),
})

export interface Place {
  row: number
  column: number
}
export interface Selection {
  focus: Place
  /** The other corner of the selected rectangle. */
  anchor: Place
}

export const START: Selection = { focus: { row: 0, column: 0 }, anchor: { row: 0, column: 0 } }

export interface Rectangle {
  top: number
  bottom: number
  left: number
  right: number
}
export const rectangle = ({ focus, anchor }: Selection): Rectangle => ({
  top: Math.min(focus.row, anchor.row),
  bottom: Math.max(focus.row, anchor.row),
  left: Math.min(focus.column, anchor.column),
  right: Math.max(focus.column, anchor.column),
})

export interface KeyPress {
  key: string
  shift: boolean
  /** Ctrl, or ⌘ on a Mac. */
  command: boolean
  alt: boolean
}

export type GridAction =
  | { type: 'select'; selection: Selection }
  | { type: 'copy' }
  | { type: 'filter' }
  | { type: 'sort'; also: boolean }
  | { type: 'group' }
  | { type: 'search' }

/** What a key does (spreadsheet habits); null: not the grid's key. */
export const onKey = (press: KeyPress, selection: Selection, size: { rows: number; columns: number; page: number }): GridAction | null => {
  if (press.alt) return null
  const { row, column } = selection.focus
  const move = (to: Partial<Place>): GridAction => {
    const focus = {
      row: Math.max(0, Math.min(size.rows - 1, to.row ?? row)),
      column: Math.max(0, Math.min(size.columns - 1, to.column ?? column)),
    }
    return { type: 'select', selection: { focus, anchor: press.shift ? selection.anchor : focus } }
  }
  switch (press.key) {
    case 'ArrowDown':
      return move({ row: press.command ? size.rows - 1 : row + 1 })
    case 'ArrowUp':
      return move({ row: press.command ? 0 : row - 1 })
    case 'ArrowRight':
      return move({ column: press.command ? size.columns - 1 : column + 1 })
    case 'ArrowLeft':
      return move({ column: press.command ? 0 : column - 1 })
    case 'PageDown':
      return move({ row: row + Math.max(1, size.page - 1) })
    case 'PageUp':
      return move({ row: row - Math.max(1, size.page - 1) })
    case 'Home':
      return move(press.command ? { row: 0, column: 0 } : { column: 0 })
    case 'End':
      return move(press.command ? { row: size.rows - 1, column: size.columns - 1 } : { column: size.columns - 1 })
    case 'Escape':
      return { type: 'select', selection: { focus: selection.focus, anchor: selection.focus } }
    default:
      break
  }
  if (press.command) {
    if (press.key === 'c' || press.key === 'C') return { type: 'copy' }
    if (press.key === 'a' || press.key === 'A')
      return {
        type: 'select',
        selection: { focus: { row: size.rows - 1, column: size.columns - 1 }, anchor: { row: 0, column: 0 } },
      }
    return null
  }
  if (press.key === 'Enter') return { type: 'filter' }
  if (press.key === 's' || press.key === 'S') return { type: 'sort', also: press.shift }
  if (press.key === 'g' || press.key === 'G') return { type: 'group' }
  return press.key === '/' ? { type: 'search' } : null
}
