import { describe, expect, it } from 'vitest'
import { fitWidths, revealLeft, shownColumns, wishedWidth } from './widths.ts'

const nobody = (wishes: number[]): null[] => wishes.map(() => null)
const sum = (widths: number[]): number => widths.reduce((all, one) => all + one, 0)

describe('widths of columns', () => {
  it('are those of the widest text, be it the name or a cell', () => {
    expect(wishedWidth(150, 40)).toBeGreaterThan(wishedWidth(149, 40))
    expect(wishedWidth(40, 150)).toBeGreaterThanOrEqual(150 + 20)
    expect(wishedWidth(1, 1)).toBe(64)
  })

  it('stay as they are where there is no room', () => {
    expect(fitWidths([100, 200, 300], nobody([1, 2, 3]), 600)).toEqual([100, 200, 300])
    expect(fitWidths([100, 200, 300], nobody([1, 2, 3]), 90)).toEqual([100, 200, 300])
  })

  it('share what is left alike, to the last pixel, and not without end', () => {
    const widths = fitWidths([100, 200, 300], nobody([1, 2, 3]), 700)
    expect(sum(widths)).toBe(700)
    expect(widths.map((width, at) => width - ([100, 200, 300][at] ?? 0)).sort()).toEqual([33, 33, 34])
    expect(fitWidths([100], nobody([1]), 2_000)).toEqual([172])
  })

  it('give room to texts that do not fit before others grow', () => {
    expect(fitWidths([100, 900], nobody([1, 2]), 1_000)).toEqual([100, 900])
    expect(fitWidths([100, 900], nobody([1, 2]), 700)).toEqual([100, 600])
    expect(fitWidths([100, 900], nobody([1, 2]), 300)).toEqual([100, 380])
  })

  it('leave alone what a person chose', () => {
    expect(fitWidths([100, 900, 100], [50, null, 70], 1_000)).toEqual([50, 880, 70])
  })
})

describe('columns beside each other', () => {
  it('are shown where any of their pixels is', () => {
    expect(shownColumns([100, 100, 100, 100], 0, 200)).toEqual({ first: 0, last: 1, before: 0 })
    expect(shownColumns([100, 100, 100, 100], 150, 100)).toEqual({ first: 1, last: 2, before: 100 })
    expect(shownColumns([], 0, 100)).toEqual({ first: 0, last: -1, before: 0 })
  })

  it('come into view by the shortest way', () => {
    expect(revealLeft([100, 100, 100, 100], 0, 150, 200)).toBe(0)
    expect(revealLeft([100, 100, 100, 100], 2, 0, 200)).toBe(100)
    expect(revealLeft([100, 100, 100, 100], 1, 50, 200)).toBe(50)
    expect(revealLeft([100, 900], 1, 0, 200)).toBe(100)
  })
})
