import { describe, expect, it } from 'vitest'
import {
  type Geometry,
  isScaled,
  onKey,
  ROW_PIXELS,
  realTop,
  rectangle,
  reveal,
  type Selection,
  scrollHeight,
  virtualTop,
  visibleRows,
} from './model.ts'

const press = (key: string, more: Partial<Parameters<typeof onKey>[0]> = {}) => ({ key, shift: false, command: false, alt: false, ...more })
const SIZE = { rows: 1000, columns: 5, page: 20 }
const at = (row: number, column: number): Selection => ({ focus: { row, column }, anchor: { row, column } })
const focusAfter = (key: string, from: Selection, more = {}) => {
  const action = onKey(press(key, more), from, SIZE)
  if (action?.type !== 'select') throw new Error(`${key} selects nothing`)
  return action.selection
}

describe('geometry', () => {
  it('reaches the first and the last row of any number of rows', () => {
    for (const rows of [0, 1, 10, 1_000, 307_692, 307_693, 3_000_000, 34_000_000]) {
      const geometry: Geometry = { rows, viewport: 520 }
      const end = Math.max(0, scrollHeight(geometry) - geometry.viewport)
      expect(visibleRows(geometry, virtualTop(geometry, 0)).from).toBe(0)
      expect(visibleRows(geometry, virtualTop(geometry, end)).until).toBe(rows)
      expect(scrollHeight(geometry)).toBeLessThanOrEqual(8_000_000)
    }
  })

  it('finds every row’s place again from the scroll position', () => {
    const geometry: Geometry = { rows: 3_000_000, viewport: 520 }
    expect(isScaled(geometry)).toBe(true)
    for (const row of [0, 1, 77, 1_234_567, 2_999_979]) {
      const top = row * ROW_PIXELS
      expect(virtualTop(geometry, realTop(geometry, top))).toBeCloseTo(top, 3)
    }
  })

  it('moves as little as it can to show a row', () => {
    const geometry: Geometry = { rows: 1_000, viewport: 260 }
    expect(reveal(geometry, 260, 10)).toBe(260)
    expect(reveal(geometry, 260, 9)).toBe(9 * ROW_PIXELS)
    expect(reveal(geometry, 260, 20)).toBe(21 * ROW_PIXELS - 260)
  })
})

describe('keys of the grid', () => {
  it('moves by cell, page, row and table, and stays inside', () => {
    expect(focusAfter('ArrowDown', at(0, 0)).focus).toEqual({ row: 1, column: 0 })
    expect(focusAfter('ArrowUp', at(0, 0)).focus).toEqual({ row: 0, column: 0 })
    expect(focusAfter('ArrowRight', at(3, 4)).focus).toEqual({ row: 3, column: 4 })
    expect(focusAfter('PageDown', at(0, 2)).focus).toEqual({ row: 19, column: 2 })
    expect(focusAfter('PageDown', at(995, 2)).focus).toEqual({ row: 999, column: 2 })
    expect(focusAfter('Home', at(7, 3)).focus).toEqual({ row: 7, column: 0 })
    expect(focusAfter('End', at(7, 3), { command: true }).focus).toEqual({ row: 999, column: 4 })
    expect(focusAfter('Home', at(7, 3), { command: true }).focus).toEqual({ row: 0, column: 0 })
  })

  it('selects with Shift from where the selection began', () => {
    const first = focusAfter('ArrowDown', at(5, 1), { shift: true })
    const second = focusAfter('ArrowRight', first, { shift: true })
    expect(rectangle(second)).toEqual({ top: 5, bottom: 6, left: 1, right: 2 })
    expect(focusAfter('ArrowUp', second).anchor).toEqual({ row: 5, column: 2 })
    expect(rectangle(focusAfter('Escape', second))).toEqual({ top: 6, bottom: 6, left: 2, right: 2 })
    expect(rectangle(focusAfter('a', second, { command: true }))).toEqual({ top: 0, bottom: 999, left: 0, right: 4 })
  })

  it('filters, sorts, groups, searches and copies', () => {
    expect(onKey(press('Enter'), at(0, 0), SIZE)).toEqual({ type: 'filter' })
    expect(onKey(press('s'), at(0, 0), SIZE)).toEqual({ type: 'sort', also: false })
    expect(onKey(press('S', { shift: true }), at(0, 0), SIZE)).toEqual({ type: 'sort', also: true })
    expect(onKey(press('g'), at(0, 0), SIZE)).toEqual({ type: 'group' })
    expect(onKey(press('/'), at(0, 0), SIZE)).toEqual({ type: 'search' })
    expect(onKey(press('c', { command: true }), at(0, 0), SIZE)).toEqual({ type: 'copy' })
  })

  it('leaves other keys to the browser', () => {
    for (const other of [press('Tab'), press('k', { command: true }), press('ArrowDown', { alt: true }), press('x'), press('?')])
      expect(onKey(other, at(0, 0), SIZE)).toBeNull()
  })
})
