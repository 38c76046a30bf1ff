/** What the picture needs to know of a step. */
export interface LayoutStep {
  name: string
  needs: readonly string[]
  kind: 'job' | 'approval' | 'compensation' | 'alert'
  compensates: string | null
}

export interface LayoutSizes {
  /** A step's box, in pixels. */
  width: number
  height: number
  /** Between layers, where the edges are drawn; and between neighbours of one layer. */
  layerGap: number
  rowGap: number
  /** `right`: layers are columns, time goes to the right. `down`: layers are rows, for narrow screens. */
  direction: 'right' | 'down'
}

export interface Box {
  name: string
  layer: number
  /** Left upper corner. */
  x: number
  y: number
}

export interface Edge {
  from: string
  to: string
  /** `d` of an SVG path. */
  path: string
  /** Where it arrives. */
  x: number
  y: number
}

export interface Layout {
  boxes: Box[]
  edges: Edge[]
  /** Steps that only run when the group has failed stand in a band of their own: where it begins along y; null: there are none. */
  bandAt: number | null
  width: number
  height: number
}

/** Rounds of ordering and of straightening; more change nothing one could see in groups of up to 200 steps. */
const ROUNDS = 6
/** An edge that passes a layer takes so much room there. */
const THREAD_SIZE = 10
/** Above it long edges are led straight on: nobody could tell them apart, and ordering them would take seconds. */
const MAX_THREADS = 1_500
/** Above the band is its heading. */
const BAND_HEADING = 44

/** A step, or a place where a long edge passes a layer. */
interface Item {
  step: string | null
  layer: number
  up: Item[]
  down: Item[]
  size: number
  /** Centre across the layers. */
  at: number
}

/** Longest-path layering: a step stands one layer behind the last of its parents. What a cycle holds back stands in layer 0. */
export const layersOf = (steps: readonly LayoutStep[]): Map<string, number> => {
  const known = new Map(steps.map((step) => [step.name, step]))
  const layers = new Map<string, number>()
  const open = new Set<string>()
  const visit = (name: string): number => {
    const found = layers.get(name)
    if (found !== undefined) return found
    // The server refuses cycles: should one come all the same, it is drawn, not followed.
    if (open.has(name)) return 0
    open.add(name)
    let layer = 0
    for (const parent of known.get(name)?.needs ?? []) if (known.has(parent)) layer = Math.max(layer, visit(parent) + 1)
    open.delete(name)
    layers.set(name, layer)
    return layer
  }
  for (const step of steps) visit(step.name)
  return layers
}

const mean = (items: Item[], of: (item: Item) => number): number | null =>
  items.length === 0 ? null : items.reduce((sum, item) => sum + of(item), 0) / items.length

const spanOf = (layers: Map<string, number>, parent: string, child: string): number =>
  (layers.get(child) ?? 0) - (layers.get(parent) ?? Number.POSITIVE_INFINITY)

/** Steps and the threads of long edges, layer by layer, in the order in which the steps were given. */
const itemsOf = (steps: readonly LayoutStep[], layers: Map<string, number>, size: number) => {
  let threads = 0
  for (const step of steps) for (const parent of step.needs) threads += Math.max(0, spanOf(layers, parent, step.name) - 1)
  const byKey = new Map<string, Item>()
  const rows: Item[][] = []
  const put = (item: Item): Item => {
    const row = rows[item.layer] ?? []
    rows[item.layer] = row
    row.push(item)
    return item
  }
  const byName = new Map<string, Item>()
  for (const step of steps) {
    const layer = layers.get(step.name) ?? 0
    byName.set(step.name, put({ step: step.name, layer, up: [], down: [], size, at: 0 }))
  }
  for (const step of steps)
    for (const parent of step.needs) {
      const to = byName.get(step.name)
      let before = byName.get(parent)
      if (to === undefined || before === undefined) continue
      for (let layer = before.layer + 1; threads <= MAX_THREADS && layer < to.layer; layer++) {
        const thread = put({ step: null, layer, up: [before], down: [], size: THREAD_SIZE, at: 0 })
        byKey.set(`${parent} ${step.name} ${layer}`, thread)
        before.down.push(thread)
        before = thread
      }
      before.down.push(to)
      to.up.push(before)
    }
  for (let layer = 0; layer < rows.length; layer++) rows[layer] ??= []
  return { rows, byName, byKey }
}

/** Orders each layer by the barycentre of its neighbours, sweeping there and back; equal ones keep their order. */
const order = (rows: Item[][]): void => {
  const sweep = (row: Item[], neighbours: (item: Item) => Item[], place: Map<Item, number>): void => {
    const wanted = new Map(row.map((item, at) => [item, mean(neighbours(item), (one) => place.get(one) ?? 0) ?? at]))
    row.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0))
  }
  const places = (row: Item[] | undefined): Map<Item, number> => new Map((row ?? []).map((item, at) => [item, at]))
  for (let round = 0; round < ROUNDS; round++) {
    for (let layer = 1; layer < rows.length; layer++) sweep(rows[layer] ?? [], (item) => item.up, places(rows[layer - 1]))
    for (let layer = rows.length - 2; layer >= 0; layer--) sweep(rows[layer] ?? [], (item) => item.down, places(rows[layer + 1]))
  }
}

/** Moves items as near as possible to where they want to be, in their order and with room between them. */
const settle = (row: Item[], wanted: (item: Item) => number, gap: number): void => {
  // Blocks of items that touch share their mean error: pool adjacent violators.
  const blocks: { items: Item[]; offsets: number[]; sum: number }[] = []
  for (const item of row) {
    let block = { items: [item], offsets: [0], sum: wanted(item) }
    for (;;) {
      const before = blocks.at(-1)
      if (before === undefined) break
      const last = before.items.at(-1)
      const first = block.items[0]
      if (last === undefined || first === undefined) break
      const distance = (before.offsets.at(-1) ?? 0) + (last.size + first.size) / 2 + gap
      if (before.sum / before.items.length + distance <= block.sum / block.items.length) break
      blocks.pop()
      block = {
        items: [...before.items, ...block.items],
        offsets: [...before.offsets, ...block.offsets.map((offset) => offset + distance)],
        sum: before.sum + block.sum - distance * block.items.length,
      }
    }
    blocks.push(block)
  }
  for (const { items, offsets, sum } of blocks)
    items.forEach((item, at) => {
      item.at = sum / items.length + (offsets[at] ?? 0)
    })
}

const straighten = (rows: Item[][], gap: number): void => {
  for (const row of rows) settle(row, () => 0, gap)
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of rows) settle(row, (item) => mean(item.up, (one) => one.at) ?? mean(item.down, (one) => one.at) ?? item.at, gap)
    for (const row of rows.toReversed()) settle(row, (item) => mean([...item.down, ...item.up], (one) => one.at) ?? item.at, gap)
  }
  // At last only parents count: what follows one step stands right behind it.
  for (const row of rows) settle(row, (item) => mean(item.up, (one) => one.at) ?? mean(item.down, (one) => one.at) ?? item.at, gap)
}

const round = (value: number): number => Math.round(value * 10) / 10

/**
 * A picture of a group's steps: layers by longest path, ordered by barycentre, straightened; the same steps give the same
 * picture. Compensations and the alert stand in a band below, each compensation in the layer of what it undoes where it can.
 */
export const layout = (steps: readonly LayoutStep[], sizes: LayoutSizes): Layout => {
  const { width, height, layerGap, rowGap, direction } = sizes
  const along = direction === 'right' ? width : height
  const across = direction === 'right' ? height : width
  const main = steps.filter((step) => step.kind === 'job' || step.kind === 'approval')
  const { rows, byName, byKey } = itemsOf(main, layersOf(main), across)
  order(rows)
  straighten(rows, rowGap)

  const items = rows.flat()
  const low = Math.min(0, ...items.map((item) => item.at - item.size / 2))
  const high = Math.max(0, ...items.map((item) => item.at + item.size / 2))
  const far = Math.max(0, rows.length * (along + layerGap) - layerGap)
  /** From layer and centre across to pixels. */
  const start = (item: Item): number => item.layer * (along + layerGap)
  const centre = (item: Item): number => item.at - low
  const point = (a: number, b: number): string => (direction === 'right' ? `${round(a)} ${round(b)}` : `${round(b)} ${round(a)}`)

  const boxes: Box[] = items.flatMap((item) => {
    if (item.step === null) return []
    const [a, b] = [start(item), centre(item) - across / 2]
    return [{ name: item.step, layer: item.layer, x: round(direction === 'right' ? a : b), y: round(direction === 'right' ? b : a) }]
  })

  const edges: Edge[] = []
  for (const step of main)
    for (const parent of step.needs) {
      const from = byName.get(parent)
      const to = byName.get(step.name)
      if (from === undefined || to === undefined) continue
      let path = `M${point(start(from) + along, centre(from))}`
      let before = from
      for (let layer = from.layer + 1; layer <= to.layer; layer++) {
        const next: Item | undefined = layer === to.layer ? to : byKey.get(`${parent} ${step.name} ${layer}`)
        if (next === undefined) continue
        const middle = start(next) - layerGap / 2
        path += `C${point(middle, centre(before))} ${point(middle, centre(next))} ${point(start(next), centre(next))}`
        if (next !== to) path += `L${point(start(next) + along, centre(next))}`
        before = next
      }
      const [a, b] = [round(start(to)), round(centre(to))]
      edges.push({ from: parent, to: step.name, path, x: direction === 'right' ? a : b, y: direction === 'right' ? b : a })
    }

  const mainWidth = direction === 'right' ? far : high - low
  const mainHeight = direction === 'right' ? high - low : far
  const late = steps.filter((step) => step.kind === 'compensation' || step.kind === 'alert')
  if (late.length === 0) return { boxes, edges, bandAt: null, width: round(mainWidth), height: round(mainHeight) }

  const bandAt = main.length === 0 ? 0 : mainHeight + rowGap
  const placed = new Map(boxes.map((box) => [box.name, box]))
  const step = width + rowGap
  const columns = Math.max(1, Math.floor((mainWidth + rowGap) / step))
  const taken = new Set<string>()
  const free = (column: number): number => {
    let row = 0
    while (taken.has(`${column} ${row}`)) row += 1
    taken.add(`${column} ${row}`)
    return row
  }
  for (const one of late) {
    const undone = one.compensates === null ? undefined : placed.get(one.compensates)
    const pitch = direction === 'right' ? width + layerGap : step
    const most = direction === 'right' ? Math.max(0, rows.length - 1) : columns - 1
    const column = one.kind === 'alert' ? most : undone === undefined ? 0 : Math.min(most, Math.round(undone.x / pitch))
    const y = bandAt + BAND_HEADING + free(column) * (height + rowGap)
    boxes.push({ name: one.name, layer: column, x: round(column * pitch), y: round(y) })
  }
  return {
    boxes,
    edges,
    bandAt: round(bandAt),
    width: round(Math.max(mainWidth, ...boxes.map((box) => box.x + width))),
    height: round(Math.max(...boxes.map((box) => box.y + height))),
  }
}
