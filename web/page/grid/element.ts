import type { Cell, Column } from '../../client/wire.ts'
import { count, isNumber, show } from '../format.ts'
import type { SortDirection } from '../view-state.ts'
import { copyCells } from './copy.ts'
import { make, set } from './dom.ts'
import {
  type GridAction,
  isScaled,
  onKey,
  type Place,
  ROW_PIXELS,
  realTop,
  rectangle,
  reveal,
  type Selection,
  START,
  scrollHeight,
  virtualTop,
  visibleRows,
} from './model.ts'
import { Pages, type RowSource } from './pages.ts'
import { ColumnSizes } from './sizes.ts'
import { revealLeft, type ShownColumns, shownColumns } from './widths.ts'

export interface GridColumn extends Column {
  sort: SortDirection
}

export interface GridHandlers {
  sort(column: string, also: boolean): void
  filter(column: Column, cell: Cell): void
  group(column: string): void
  search(): void
  /** A sentence for the person: what was copied, what failed. */
  note(text: string): void
  failed(error: Error): void
  /** The first page of a source is painted. */
  painted(): void
}

const HEAD_PIXELS = 30
const OVERSCAN_ROWS = 6
const MIN_WIDTH = 48
/** A text that may not fit its column is told in full on hover. */
const WIDE_CHARACTER_PIXELS = 8

/**
 * `<report-grid>`: a table of any length in a fixed number of elements. It knows rows only by asking for pages of them, and tells
 * what a person wants by its handlers; it sorts and filters nothing itself.
 */
export class ReportGrid extends HTMLElement {
  readonly #scroll = make('div', 'grid-scroll', 'grid')
  readonly #canvas = make('div', 'grid-canvas', 'presentation')
  readonly #head = make('div', 'grid-head', 'rowgroup')
  readonly #headRow = make('div', 'grid-row', 'row')
  readonly #body = make('div', 'grid-body', 'rowgroup')
  readonly #resize = new ResizeObserver(() => {
    this.#layout()
    this.#schedule()
  })
  #columns: GridColumn[] = []
  readonly #sizes = new ColumnSizes()
  #pages: Pages | null = null
  #handlers: GridHandlers | null = null
  #selection: Selection = START
  /** The table's top edge in unscaled pixels; a scroll bar of a scaled table is too coarse to hold it. */
  #top = 0
  #ownScroll: number | null = null
  #frame = 0
  #painted = false
  #rowPool: HTMLElement[] = []

  connectedCallback(): void {
    if (this.#scroll.parentElement === this) return
    this.#scroll.tabIndex = 0
    this.#head.append(this.#headRow)
    this.#canvas.append(this.#head, this.#body)
    this.#scroll.append(this.#canvas)
    this.append(this.#scroll)
    this.#scroll.addEventListener('scroll', this.#onScroll, { passive: true })
    this.#scroll.addEventListener('wheel', this.#onWheel, { passive: false })
    this.#scroll.addEventListener('keydown', this.#onKeyDown)
    this.#scroll.addEventListener('pointerdown', this.#onPointerDown)
    this.#resize.observe(this.#scroll)
  }

  disconnectedCallback(): void {
    this.#resize.disconnect()
    this.#pages?.end()
    cancelAnimationFrame(this.#frame)
  }

  set handlers(handlers: GridHandlers) {
    this.#handlers = handlers
  }

  set label(label: string) {
    this.#scroll.setAttribute('aria-label', label)
  }

  override focus(): void {
    this.#scroll.focus({ preventScroll: true })
  }

  get selection(): Selection {
    return this.#selection
  }

  /**
   * Shows other rows. `same`: they are the ones already shown, from another place, so nothing moves and nothing is fetched
   * again. Otherwise the old rows stay, dimmed, until the first new ones are here.
   */
  show(columns: Column[], sort: (column: string) => SortDirection, source: RowSource, same: boolean): void {
    const names = columns.map((column) => column.name).join('\n')
    const before = this.#columns.map((column) => column.name).join('\n')
    this.#columns = columns.map((column) => ({ ...column, sort: sort(column.name) }))
    if (names !== before) {
      this.#sizes.measured = false
      this.#selection = START
      this.#rowPool = []
      this.#body.replaceChildren()
    }
    const pages = new Pages(
      source,
      () => this.#schedule(),
      (error) => this.#handlers?.failed(error),
    )
    if (same && this.#pages !== null) pages.adopt(this.#pages)
    else {
      this.#painted = false
      this.#top = 0
      this.#selection = {
        focus: { row: 0, column: this.#selection.focus.column },
        anchor: { row: 0, column: this.#selection.focus.column },
      }
      this.#scroll.classList.add('stale')
    }
    this.#pages?.end()
    this.#pages = pages
    if (!this.#sizes.measured) this.#measure([])
    this.#layout()
    if (!same) this.#moveTo(0)
    this.#render()
  }

  /** New sort marks without new rows. */
  set sorting(sort: (column: string) => SortDirection) {
    this.#columns = this.#columns.map((column) => ({ ...column, sort: sort(column.name) }))
    this.#renderHead()
  }

  /** Brings a column into view and focuses it. */
  goToColumn(name: string): void {
    const column = this.#columns.findIndex((one) => one.name === name)
    if (column < 0) return
    const focus: Place = { row: this.#selection.focus.row, column }
    this.#select({ focus, anchor: focus })
    this.focus()
  }

  #geometry() {
    return { rows: this.#pages?.count ?? 0, viewport: Math.max(0, this.#scroll.clientHeight - HEAD_PIXELS) }
  }

  #gutter(): number {
    return Math.max(44, String(this.#pages?.count ?? 0).length * 8 + 26)
  }

  #measure(rows: Cell[][]): void {
    this.#sizes.measure(this.#columns, rows, this.#head, this)
  }

  #layout(): void {
    this.#sizes.fit(this.#columns, this.#scroll.clientWidth - this.#gutter())
    const width = this.#gutter() + this.#sizes.widths.reduce((sum, one) => sum + one, 0)
    this.#canvas.style.width = `${width}px`
    this.#canvas.style.height = `${scrollHeight(this.#geometry()) + HEAD_PIXELS}px`
    this.#scroll.setAttribute('aria-rowcount', String((this.#pages?.count ?? 0) + 1))
    this.#scroll.setAttribute('aria-colcount', String(this.#columns.length + 1))
    this.style.setProperty('--gutter', `${this.#gutter()}px`)
    this.#renderHead()
  }

  #schedule(): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = requestAnimationFrame(() => this.#render())
  }

  #moveTo(top: number): void {
    const geometry = this.#geometry()
    this.#top = Math.max(0, Math.min(top, geometry.rows * ROW_PIXELS - geometry.viewport))
    const real = realTop(geometry, this.#top)
    if (Math.abs(this.#scroll.scrollTop - real) >= 1) {
      // The element rounds what it is told: its own answer must not come back as a person's scrolling.
      this.#scroll.scrollTop = real
      this.#ownScroll = this.#scroll.scrollTop
    }
  }

  #onScroll = (): void => {
    const { scrollTop } = this.#scroll
    if (this.#ownScroll === null || Math.abs(scrollTop - this.#ownScroll) >= 1) this.#top = virtualTop(this.#geometry(), scrollTop)
    this.#ownScroll = null
    this.#render()
  }

  #onWheel = (event: WheelEvent): void => {
    // One notch of the wheel on a scaled table would skip dozens of rows.
    if (!isScaled(this.#geometry()) || event.deltaY === 0 || event.ctrlKey) return
    event.preventDefault()
    const unit =
      event.deltaMode === WheelEvent.DOM_DELTA_LINE
        ? ROW_PIXELS
        : event.deltaMode === WheelEvent.DOM_DELTA_PAGE
          ? this.#geometry().viewport
          : 1
    this.#scroll.scrollLeft += event.deltaX * unit
    this.#moveTo(this.#top + event.deltaY * unit)
    this.#render()
  }

  #visibleColumns(): ShownColumns {
    return shownColumns(this.#sizes.widths, this.#scroll.scrollLeft, this.#scroll.clientWidth)
  }

  #renderHead(): void {
    const { first, last, before } = this.#visibleColumns()
    const cells: HTMLElement[] = []
    const corner = make('div', 'grid-cell grid-number', 'columnheader')
    corner.setAttribute('aria-label', 'Row')
    corner.setAttribute('aria-colindex', '1')
    cells.push(corner)
    this.#headRow.setAttribute('aria-rowindex', '1')
    const add = (index: number, pinned: boolean): void => {
      const column = this.#columns[index]
      if (column === undefined) return
      const cell = make('div', `grid-cell${isNumber(column.type) ? ' right' : ''}${pinned ? ' pinned' : ''}`, 'columnheader')
      cell.style.width = `${this.#sizes.widths[index] ?? 0}px`
      cell.dataset.column = String(index)
      cell.setAttribute('aria-colindex', String(index + 2))
      if (column.sort !== null) cell.setAttribute('aria-sort', column.sort)
      cell.title = `${column.name}\nClick sorts, Shift-click sorts by it as well, Alt-click groups`
      const name = make('span', 'grid-name')
      name.textContent = column.name
      cell.append(name)
      if (column.sort !== null) {
        const mark = make('span', 'grid-sort')
        mark.textContent = column.sort === 'ascending' ? '↑' : '↓'
        mark.setAttribute('aria-hidden', 'true')
        cell.append(mark)
      }
      const grip = make('span', 'grid-grip')
      grip.dataset.grip = String(index)
      cell.append(grip)
      cells.push(cell)
    }
    add(0, true)
    const pad = make('div', 'grid-pad', 'presentation')
    pad.style.width = `${Math.max(0, before - (first > 0 ? (this.#sizes.widths[0] ?? 0) : 0))}px`
    if (first > 0) cells.push(pad)
    for (let index = Math.max(1, first); index <= last; index++) add(index, false)
    this.#headRow.replaceChildren(...cells)
  }

  #render(): void {
    const pages = this.#pages
    if (pages === null || this.#scroll.clientHeight === 0) return
    const geometry = this.#geometry()
    this.#top = Math.max(0, Math.min(this.#top, geometry.rows * ROW_PIXELS - geometry.viewport))
    const visible = visibleRows(geometry, this.#top)
    pages.want(visible.from, visible.until)
    const waiting = !this.#painted && pages.count > 0 && pages.row(visible.from) === null
    // The rows of the view before stay, dimmed, until there is something to show instead.
    if (waiting && this.#rowPool.length > 0) return
    if (this.#sizes.grown) this.#layout()
    if (!this.#sizes.measured && pages.count > 0) {
      const sample: Cell[][] = []
      for (let row = 0; row < Math.min(pages.count, 100); row++) {
        const cells = pages.row(row)
        if (cells !== null) sample.push(cells)
      }
      if (sample.length > 0) {
        this.#measure(sample)
        this.#layout()
      }
    }
    this.#renderHead()
    const from = Math.max(0, visible.from - OVERSCAN_ROWS)
    const until = Math.min(geometry.rows, visible.until + OVERSCAN_ROWS)
    const columns = this.#visibleColumns()
    const picked = rectangle(this.#selection)
    const rows: HTMLElement[] = []
    for (let index = from; index < until; index++) {
      const row = this.#rowPool[index - from] ?? make('div', 'grid-row', 'row')
      this.#rowPool[index - from] = row
      this.#renderRow(row, index, pages.row(index), columns, picked)
      rows.push(row)
    }
    if (this.#sizes.grown) this.#schedule()
    this.#rowPool.length = rows.length
    if (this.#body.childElementCount !== rows.length || this.#body.firstElementChild !== (rows[0] ?? null))
      this.#body.replaceChildren(...rows)
    this.#body.style.transform = `translateY(${this.#scroll.scrollTop - (this.#top - from * ROW_PIXELS)}px)`
    const { focus } = this.#selection
    const active = focus.row >= from && focus.row < until
    if (active) this.#scroll.setAttribute('aria-activedescendant', `${this.#id()}-${focus.row}-${focus.column}`)
    else this.#scroll.removeAttribute('aria-activedescendant')
    if (!waiting && (pages.count === 0 || pages.row(visible.from) !== null)) {
      this.#scroll.classList.remove('stale')
      if (!this.#painted) {
        this.#painted = true
        this.#handlers?.painted()
      }
    }
  }

  #id(): string {
    if (this.id === '') this.id = `grid-${Math.random().toString(36).slice(2, 8)}`
    return this.id
  }

  #renderRow(
    row: HTMLElement,
    index: number,
    cells: Cell[] | null,
    { first, last, before }: ShownColumns,
    picked: { top: number; bottom: number; left: number; right: number },
  ): void {
    row.setAttribute('aria-rowindex', String(index + 2))
    row.dataset.row = String(index)
    row.classList.toggle('pending', cells === null)
    row.classList.toggle('odd', index % 2 === 1)
    const wanted = 1 + 1 + (first > 0 ? 1 : 0) + Math.max(0, last - Math.max(1, first) + 1)
    while (row.childElementCount > wanted) row.lastElementChild?.remove()
    while (row.childElementCount < wanted) row.append(make('div', 'grid-cell', 'gridcell'))
    let at = 0
    const next = (): HTMLElement => {
      const element = row.children[at]
      at += 1
      if (!(element instanceof HTMLElement)) throw new Error('a row of the grid lost a cell')
      return element
    }
    const number = next()
    set(number, 'grid-cell grid-number', 'rowheader', count(index + 1), '', 'var(--gutter)')
    number.setAttribute('aria-colindex', '1')
    const paint = (column: number, pinned: boolean): void => {
      const element = next()
      const type = this.#columns[column]?.type ?? 'string'
      const shown = cells === null ? null : show(cells[column] ?? null, type, this.#sizes.digits[column] ?? 0)
      if (shown !== null) this.#sizes.meet(column, shown.text, type, this)
      const several = picked.top !== picked.bottom || picked.left !== picked.right
      const selected = several && index >= picked.top && index <= picked.bottom && column >= picked.left && column <= picked.right
      const focused = this.#selection.focus.row === index && this.#selection.focus.column === column
      let name = 'grid-cell'
      if (isNumber(type)) name += ' right'
      if (pinned) name += ' pinned'
      if (shown?.kind === 'null') name += ' null'
      if (shown?.kind === 'empty') name += ' empty'
      if (selected) name += ' selected'
      if (focused) name += ' focused'
      set(
        element,
        name,
        'gridcell',
        shown?.text ?? '',
        shown?.exact ?? (shown !== null && shown.text.length * WIDE_CHARACTER_PIXELS > (this.#sizes.widths[column] ?? 0) ? shown.text : ''),
        `${this.#sizes.widths[column] ?? 0}px`,
      )
      element.setAttribute('aria-colindex', String(column + 2))
      element.setAttribute('aria-selected', String(selected || focused))
      element.id = `${this.#id()}-${index}-${column}`
      element.dataset.column = String(column)
    }
    if (this.#columns.length > 0) paint(0, true)
    if (first > 0) {
      const pad = next()
      set(pad, 'grid-pad', 'presentation', '', '', `${Math.max(0, before - (this.#sizes.widths[0] ?? 0))}px`)
      pad.removeAttribute('id')
      pad.removeAttribute('aria-selected')
      pad.removeAttribute('aria-colindex')
    }
    for (let column = Math.max(1, first); column <= last; column++) paint(column, false)
    while (row.childElementCount > at) row.lastElementChild?.remove()
  }

  #select(selection: Selection): void {
    this.#selection = selection
    const geometry = this.#geometry()
    const top = reveal(geometry, this.#top, selection.focus.row)
    if (top !== this.#top) this.#moveTo(top)
    const room = this.#scroll.clientWidth - this.#gutter()
    const left = revealLeft(this.#sizes.widths, selection.focus.column, this.#scroll.scrollLeft, room)
    if (left !== this.#scroll.scrollLeft) this.#scroll.scrollLeft = left
    this.#render()
  }

  #onKeyDown = (event: KeyboardEvent): void => {
    const rows = this.#pages?.count ?? 0
    if (rows === 0 || this.#columns.length === 0) return
    const action = onKey(
      { key: event.key, shift: event.shiftKey, command: event.ctrlKey || event.metaKey, alt: event.altKey },
      this.#selection,
      {
        rows,
        columns: this.#columns.length,
        page: Math.floor(this.#geometry().viewport / ROW_PIXELS),
      },
    )
    if (action === null) return
    event.preventDefault()
    event.stopPropagation()
    this.#act(action)
  }

  #act(action: GridAction): void {
    const { focus } = this.#selection
    const column = this.#columns[focus.column]
    switch (action.type) {
      case 'select':
        this.#select(action.selection)
        return
      case 'copy':
        void this.#copy()
        return
      case 'search':
        this.#handlers?.search()
        return
      case 'sort':
        if (column) this.#handlers?.sort(column.name, action.also)
        return
      case 'group':
        if (column) this.#handlers?.group(column.name)
        return
      case 'filter': {
        const cells = this.#pages?.row(focus.row)
        if (column && cells) this.#handlers?.filter(column, cells[focus.column] ?? null)
      }
    }
  }

  async #copy(): Promise<void> {
    this.#handlers?.note(await copyCells(rectangle(this.#selection), this.#pages))
  }

  #placeOf(target: EventTarget | null): Place | null {
    const cell = target instanceof Element ? target.closest('[data-column]') : null
    const row = cell?.closest('[data-row]')
    if (!(cell instanceof HTMLElement) || !(row instanceof HTMLElement)) return null
    return { row: Number(row.dataset.row), column: Number(cell.dataset.column) }
  }

  #onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0 || !(event.target instanceof Element)) return
    const grip = event.target.closest('[data-grip]')
    if (grip instanceof HTMLElement) {
      this.#resizeColumn(event, Number(grip.dataset.grip))
      return
    }
    const header = event.target.closest('[role=columnheader][data-column]')
    if (header instanceof HTMLElement) {
      const column = this.#columns[Number(header.dataset.column)]
      if (column === undefined) return
      if (event.altKey) this.#handlers?.group(column.name)
      else this.#handlers?.sort(column.name, event.shiftKey)
      return
    }
    const place = this.#placeOf(event.target)
    if (place === null) return
    this.#select({ focus: place, anchor: event.shiftKey ? this.#selection.anchor : place })
    // A finger scrolls; only a mouse draws a rectangle.
    if (event.pointerType !== 'mouse') return
    const move = (moved: PointerEvent): void => {
      const to = this.#placeOf(document.elementFromPoint(moved.clientX, moved.clientY))
      if (to !== null && (to.row !== this.#selection.focus.row || to.column !== this.#selection.focus.column))
        this.#select({ focus: to, anchor: this.#selection.anchor })
    }
    const up = (): void => {
      removeEventListener('pointermove', move)
      removeEventListener('pointerup', up)
    }
    addEventListener('pointermove', move)
    addEventListener('pointerup', up)
  }

  #resizeColumn(event: PointerEvent, index: number): void {
    event.preventDefault()
    const column = this.#columns[index]
    if (column === undefined) return
    if (event.detail === 2) {
      this.#sizes.release(column.name)
      this.#schedule()
      return
    }
    const start = event.clientX
    const width = this.#sizes.widths[index] ?? MIN_WIDTH
    // The others hold still while one is drawn.
    this.#sizes.hold(this.#columns)
    const move = (moved: PointerEvent): void => {
      const wide = Math.max(MIN_WIDTH, width + moved.clientX - start)
      this.#sizes.choose(column.name, wide)
      this.#layout()
      this.#schedule()
    }
    const up = (): void => {
      removeEventListener('pointermove', move)
      removeEventListener('pointerup', up)
    }
    addEventListener('pointermove', move)
    addEventListener('pointerup', up)
  }
}

customElements.define('report-grid', ReportGrid)
