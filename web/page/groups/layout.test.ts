import { describe, expect, it } from 'vitest'
import { type Layout, type LayoutStep, layersOf, layout } from './layout.ts'

const SIZES = { width: 100, height: 40, layerGap: 60, rowGap: 20, direction: 'right' } as const

const dag = (edges: Record<string, string[]>): LayoutStep[] =>
  Object.entries(edges).map(([name, needs]) => ({ name, needs, kind: 'job', compensates: null }))
const box = (made: Layout, name: string) => made.boxes.find((one) => one.name === name) ?? { name, layer: -1, x: -1, y: -1 }

/** Numbers of a path: where it begins and ends. */
const ends = (path: string): [number, number, number, number] => {
  const numbers = path.match(/-?[\d.]+/g)?.map(Number) ?? []
  return [numbers[0] ?? -1, numbers[1] ?? -1, numbers.at(-2) ?? -1, numbers.at(-1) ?? -1]
}

/** Straight pieces between the ends of a path's segments; enough to see what is passed through. */
const crossesABox = (made: Layout, sizes: { width: number; height: number }): string[] =>
  made.edges.flatMap(({ from, to, path }) => {
    const found: string[] = []
    // Horizontal pieces run along a layer: `L x y` from the point before it.
    const pieces = [...path.matchAll(/([\d.-]+) ([\d.-]+)L([\d.-]+) ([\d.-]+)/g)].map((match) => match.slice(1).map(Number))
    for (const [x1 = 0, y1 = 0, x2 = 0] of pieces)
      for (const one of made.boxes)
        if (x1 < one.x + sizes.width && x2 > one.x && y1 > one.y && y1 < one.y + sizes.height)
          found.push(`${from}→${to} through ${one.name}`)
    return found
  })

/** A generator of numbers from a seed (mulberry32), so that a failure can be seen again. */
const chance = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}
const randomDag = (seed: number): LayoutStep[] => {
  const next = chance(seed)
  const size = 1 + next(30)
  return Array.from({ length: size }, (_, at): LayoutStep => {
    const needs = new Set(Array.from({ length: at === 0 ? 0 : next(4) }, () => `s${next(at)}`))
    const kind = at > 0 && next(8) === 0 ? 'compensation' : 'job'
    return { name: `s${at}`, needs: kind === 'job' ? [...needs] : [], kind, compensates: kind === 'job' ? null : `s${next(at)}` }
  })
}

describe('the picture of a group', () => {
  it('puts a step one layer behind the last of its parents', () => {
    const layers = layersOf(dag({ d: ['b', 'c'], a: [], b: ['a'], c: ['b', 'a'] }))
    expect(Object.fromEntries(layers)).toEqual({ a: 0, b: 1, c: 2, d: 3 })
  })

  it('draws A, then B and C side by side, then D between them', () => {
    const made = layout(dag({ a: [], b: ['a'], c: ['a'], d: ['b', 'c'] }), SIZES)
    expect(['a', 'b', 'c', 'd'].map((name) => box(made, name).x)).toEqual([0, 160, 160, 320])
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => box(made, name).y)
    expect([b, c]).toEqual([0, 60])
    expect([a, d]).toEqual([30, 30])
    expect([made.width, made.height, made.bandAt]).toEqual([420, 100, null])
    expect(made.edges.map(({ from, to }) => `${from}→${to}`)).toEqual(['a→b', 'a→c', 'b→d', 'c→d'])
    expect(ends(made.edges[0]?.path ?? '')).toEqual([100, 50, 160, 20])
  })

  it('turns the same picture by a quarter for narrow screens', () => {
    const made = layout(dag({ a: [], b: ['a'], c: ['a'], d: ['b', 'c'] }), { ...SIZES, direction: 'down' })
    expect(['a', 'b', 'c', 'd'].map((name) => [box(made, name).x, box(made, name).y])).toEqual([
      [60, 0],
      [0, 100],
      [120, 100],
      [60, 200],
    ])
    expect(ends(made.edges[0]?.path ?? '')).toEqual([110, 40, 50, 100])
  })

  it('orders layers so that edges need not cross', () => {
    const made = layout(dag({ a: [], b: [], c: [], z: ['a'], y: ['b'], x: ['c'], w: ['x'], v: ['y'], u: ['z'] }), SIZES)
    for (const [parent, child] of ['az', 'by', 'cx', 'xw', 'yv', 'zu'])
      expect(box(made, child ?? '').y, `${parent} ${child}`).toBe(box(made, parent ?? '').y)
    const crossed = layout(dag({ a: [], b: [], c: ['b'], d: ['a'] }), SIZES)
    expect(Math.sign(box(crossed, 'a').y - box(crossed, 'b').y)).toBe(Math.sign(box(crossed, 'd').y - box(crossed, 'c').y))
  })

  it('leads a long edge past the steps between its ends', () => {
    const made = layout(dag({ a: [], b: ['a'], c: ['b'], d: ['a', 'c'] }), SIZES)
    expect(crossesABox(made, SIZES)).toEqual([])
    expect(made.edges.find(({ from, to }) => from === 'a' && to === 'd')?.path).toContain('L')
  })

  it('keeps what runs only after a failure in a band below, under what it undoes', () => {
    const made = layout(
      [
        ...dag({ a: [], b: ['a'], c: ['b'] }),
        { name: 'undo_b', needs: [], kind: 'compensation', compensates: 'b' },
        { name: 'undo_b_too', needs: [], kind: 'compensation', compensates: 'b' },
        { name: 'alert', needs: [], kind: 'alert', compensates: null },
      ],
      SIZES,
    )
    const band = made.bandAt ?? -1
    expect(band).toBeGreaterThan(box(made, 'b').y + SIZES.height)
    for (const name of ['undo_b', 'undo_b_too', 'alert']) expect(box(made, name).y, name).toBeGreaterThan(band)
    expect([box(made, 'undo_b').x, box(made, 'undo_b_too').x, box(made, 'alert').x]).toEqual([160, 160, 320])
    expect(box(made, 'undo_b_too').y).toBe(box(made, 'undo_b').y + SIZES.height + SIZES.rowGap)
    expect(made.height).toBe(box(made, 'undo_b_too').y + SIZES.height)
  })

  it('draws nothing over anything, inside its frame, in time’s direction, whatever the group', () => {
    for (let seed = 1; seed <= 300; seed++)
      for (const direction of ['right', 'down'] as const) {
        const steps = randomDag(seed)
        const made = layout(steps, { ...SIZES, direction })
        const note = `seed ${seed} ${direction}`
        expect(made.boxes.map((one) => one.name).sort(), note).toEqual(steps.map((one) => one.name).sort())
        made.boxes.forEach((one, at) => {
          expect(
            one.x >= 0 && one.y >= 0 && one.x + 100 <= made.width + 0.1 && one.y + 40 <= made.height + 0.1,
            `${note} ${one.name}`,
          ).toBe(true)
          for (const other of made.boxes.slice(at + 1))
            expect(Math.abs(one.x - other.x) >= 99.8 || Math.abs(one.y - other.y) >= 39.8, `${note} ${one.name} ${other.name}`).toBe(true)
        })
        for (const { from, to } of made.edges) expect(box(made, to).layer, `${note} ${from} ${to}`).toBeGreaterThan(box(made, from).layer)
        if (direction === 'right') expect(crossesABox(made, SIZES), note).toEqual([])
        expect(layout(steps, { ...SIZES, direction }), note).toEqual(made)
      }
  })

  it('draws nothing for nothing, and survives a cycle and a parent that is not there', () => {
    expect(layout([], SIZES)).toEqual({ boxes: [], edges: [], bandAt: null, width: 0, height: 0 })
    expect(layout(dag({ a: ['b'], b: ['a'], c: ['nobody'] }), SIZES).boxes).toHaveLength(3)
    expect(layout([{ name: 'x', needs: [], kind: 'alert', compensates: null }], SIZES).boxes).toHaveLength(1)
  })

  it('takes the largest groups there are, sparse and dense', () => {
    const sparse = dag(
      Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`s${at}`, at < 10 ? [] : [`s${at - 10}`, `s${(at * 7) % at}`]])),
    )
    const dense = dag(
      Object.fromEntries(
        Array.from({ length: 200 }, (_, at) => [`s${at}`, Array.from({ length: Math.min(at, 50) }, (_, i) => `s${at - i - 1}`)]),
      ),
    )
    const bends = (path: string): number => path.split('C').length - 1
    expect(layout(sparse, SIZES).boxes).toHaveLength(200)
    const { edges } = layout(dense, SIZES)
    expect(edges).toHaveLength(50 * 200 - (50 * 51) / 2)
    // A place in each layer that an edge passes would be 200,000 to order: they are led straight on.
    expect(edges.filter(({ path }) => bends(path) > 1)).toEqual([])
    expect(layout(dag({ a: [], b: ['a'], c: ['b', 'a'] }), SIZES).edges.map(({ path }) => bends(path))).toEqual([1, 1, 2])
  })
})
