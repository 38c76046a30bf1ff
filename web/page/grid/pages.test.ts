import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Cell } from '../../client/wire.ts'
import { PAGE_ROWS, Pages } from './pages.ts'

const source = (count: number) => {
  const asked: { from: number; signal: AbortSignal; answer: (rows?: Cell[][]) => void }[] = []
  return {
    asked,
    count,
    page: (from: number, n: number, { signal }: { signal: AbortSignal }) =>
      new Promise<Cell[][]>((resolve) => {
        asked.push({
          from,
          signal,
          answer: (rows) => resolve(rows ?? Array.from({ length: Math.min(n, count - from) }, (_, i) => [from + i])),
        })
      }),
  }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('Pages', () => {
  it('asks at once for what is seen first, and for later pages when the view has settled', async () => {
    vi.useFakeTimers()
    const rows = source(10_000)
    const changed = Promise.withResolvers<void>()
    const pages = new Pages(
      rows,
      () => changed.resolve(),
      () => undefined,
    )
    pages.want(0, 30)
    expect(rows.asked.map((one) => one.from)).toEqual([0])
    rows.asked[0]?.answer()
    await changed.promise
    expect(pages.row(5)).toEqual([5])
    for (let at = 0; at < 9_000; at += 500) pages.want(at, at + 30)
    expect(rows.asked).toHaveLength(1)
    vi.advanceTimersByTime(50)
    expect(rows.asked.map((one) => one.from)).toEqual([0, Math.floor(8_500 / PAGE_ROWS) * PAGE_ROWS])
  })

  it('cancels a page that went out of sight before it came, and ignores its answer', async () => {
    vi.useFakeTimers()
    const rows = source(100_000)
    const pages = new Pages(
      rows,
      () => undefined,
      () => undefined,
    )
    pages.want(0, 30)
    pages.want(50_000, 50_030)
    expect(rows.asked[0]?.signal.aborted).toBe(true)
    rows.asked[0]?.answer()
    await vi.advanceTimersByTimeAsync(50)
    expect(pages.row(0)).toBeNull()
    expect(rows.asked).toHaveLength(2)
  })

  it('takes over the rows of the same table from another source', async () => {
    const first = source(1_000)
    const changed = Promise.withResolvers<void>()
    const before = new Pages(
      first,
      () => changed.resolve(),
      () => undefined,
    )
    before.want(0, 10)
    first.asked[0]?.answer()
    await changed.promise
    const second = source(1_000)
    const after = new Pages(
      second,
      () => undefined,
      () => undefined,
    )
    after.adopt(before)
    after.want(0, 10)
    expect(after.row(3)).toEqual([3])
    expect(second.asked).toEqual([])
  })
})
