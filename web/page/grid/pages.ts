import { isAbort } from '../../client/queue.ts'
import type { Cell } from '../../client/wire.ts'

/** Where rows come from. */
export interface RowSource {
  readonly count: number
  page(from: number, n: number, options: { signal: AbortSignal }): Promise<Cell[][]>
}

/** Rows are fetched and kept in pages of this size (facts 5.3). */
export const PAGE_ROWS = 128
const KEPT_PAGES = 96
/** While somebody drags the scroll bar, pages that only fly by are not fetched. */
const SETTLE_MILLISECONDS = 40

/**
 * The pages around what is visible: asked for when the view has settled, dropped when it has moved on before they came, the
 * least recently seen forgotten first.
 */
export class Pages {
  readonly #source: RowSource
  readonly #changed: () => void
  readonly #failed: (error: Error) => void
  readonly #kept = new Map<number, Cell[][]>()
  readonly #asked = new Map<number, AbortController>()
  #timer: ReturnType<typeof setTimeout> | null = null
  #ended = false

  constructor(source: RowSource, changed: () => void, failed: (error: Error) => void) {
    this.#source = source
    this.#changed = changed
    this.#failed = failed
  }

  get count(): number {
    return this.#source.count
  }

  /** Takes over what another source knew of the same rows. */
  adopt(other: Pages): void {
    for (const [page, rows] of other.#kept) this.#kept.set(page, rows)
  }

  row(index: number): Cell[] | null {
    const page = this.#kept.get(Math.floor(index / PAGE_ROWS))
    return page?.[index % PAGE_ROWS] ?? null
  }

  /** Says which rows are visible, and has those fetched that are missing. */
  want(from: number, until: number): void {
    if (this.#ended) return
    const first = Math.floor(from / PAGE_ROWS)
    const last = Math.floor(Math.max(from, until - 1) / PAGE_ROWS)
    for (const [page, stop] of this.#asked) {
      if (page >= first - 1 && page <= last + 1) continue
      stop.abort()
      this.#asked.delete(page)
    }
    const missing: number[] = []
    for (let page = first; page <= last; page++) {
      const rows = this.#kept.get(page)
      if (rows === undefined) {
        if (!this.#asked.has(page) && page * PAGE_ROWS < this.count) missing.push(page)
        continue
      }
      this.#kept.delete(page)
      this.#kept.set(page, rows)
    }
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (missing.length === 0) return
    // The very first page is not waited for by anything that moves.
    if (this.#kept.size === 0 && this.#asked.size === 0) for (const page of missing) this.#ask(page)
    else
      this.#timer = setTimeout(() => {
        for (const page of missing) this.#ask(page)
      }, SETTLE_MILLISECONDS)
  }

  /** Rows for the clipboard, wherever they are. */
  async rows(from: number, until: number): Promise<Cell[][]> {
    const stop = new AbortController()
    const found: Cell[][] = []
    for (let at = from; at < until; at += PAGE_ROWS)
      found.push(...(await this.#source.page(at, Math.min(PAGE_ROWS, until - at), { signal: stop.signal })))
    return found
  }

  end(): void {
    this.#ended = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const stop of this.#asked.values()) stop.abort()
    this.#asked.clear()
  }

  #ask(page: number): void {
    if (this.#ended || this.#asked.has(page) || this.#kept.has(page)) return
    const stop = new AbortController()
    this.#asked.set(page, stop)
    this.#source.page(page * PAGE_ROWS, PAGE_ROWS, { signal: stop.signal }).then(
      (rows) => {
        if (stop.signal.aborted || this.#ended) return
        this.#asked.delete(page)
        this.#kept.set(page, rows)
        for (const oldest of this.#kept.keys()) {
          if (this.#kept.size <= KEPT_PAGES) break
          this.#kept.delete(oldest)
        }
        this.#changed()
      },
      (error: unknown) => {
        if (stop.signal.aborted || this.#ended) return
        this.#asked.delete(page)
        if (!isAbort(error)) this.#failed(error instanceof Error ? error : new Error(String(error)))
      },
    )
  }
}
