/** Something that will happen at a virtual instant. Cancelled ones are skipped. */
export interface Planned {
  readonly at: number
  readonly order: number
  run: (() => void) | null
}

const before = (a: Planned, b: Planned): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/**
 * The one queue of everything that is under way: messages, frames, timers, alarms, crashes. Time stands still while
 * something runs and jumps to the next thing afterwards. A binary heap by instant, then by the order of planning.
 */
export class Schedule {
  /** Virtual milliseconds since the history began; never runs backwards, unlike the clocks on the wall. */
  now = 0
  /** How many things have happened. */
  steps = 0
  readonly #heap: Planned[] = []
  #order = 0

  after(ms: number, run: () => void): Planned {
    const planned: Planned = { at: this.now + Math.max(0, ms), order: this.#order++, run }
    const heap = this.#heap
    let at = heap.push(planned) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !before(planned, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = planned
    return planned
  }

  /** When the next thing happens, or null. */
  next(): number | null {
    for (;;) {
      const [top] = this.#heap
      if (top === undefined) return null
      if (top.run !== null) return top.at
      this.#pop()
    }
  }

  /** Lets the next thing happen; false when nothing is planned. */
  step(): boolean {
    for (;;) {
      const top = this.#pop()
      if (top === undefined) return false
      if (top.run === null) continue
      this.now = Math.max(this.now, top.at)
      this.steps++
      top.run()
      return true
    }
  }

  #pop(): Planned | undefined {
    const heap = this.#heap
    const [top] = heap
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const right = heap[child + 1]
      let least = heap[child]
      if (least === undefined) break
      if (right !== undefined && before(right, least)) {
        least = right
        child++
      }
      if (!before(least, last)) break
      heap[at] = least
      at = child
    }
    heap[at] = last
    return top
  }
}
