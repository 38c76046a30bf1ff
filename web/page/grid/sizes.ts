import type { Cell, Column, ColumnType } from '../../client/wire.ts'
import { fractionDigits, show } from '../format.ts'
import { fitWidths, wishedWidth } from './widths.ts'

/** The longest texts of a column, one of which is its widest. */
const MEASURED_TEXTS = 8
/** Where a browser measures nothing. */
const WIDE_CHARACTER_PIXELS = 8

/** The sizes of a grid's columns: measured by their content, fitted to the window, or chosen by a person. */
export class ColumnSizes {
  /** In pixels, as the grid shows them. */
  widths: number[] = []
  /** How many digits behind the point each column shows. */
  digits: number[] = []
  /** Rows were seen, not names alone. */
  measured = false
  #wishes: number[] = []
  /** Characters of the longest text that each column was measured for. */
  #longest: number[] = []
  #grown = false
  /** By column name: what a person chose outlives a new view. */
  readonly #chosen = new Map<string, number>()
  readonly #context = document.createElement('canvas').getContext('2d')

  /** Texts are measured as `head` and `body` would show them. */
  measure(columns: Column[], rows: Cell[][], head: Element, body: Element): void {
    this.#wishes = []
    this.#longest = []
    this.digits = []
    for (const [at, column] of columns.entries()) {
      const cells = rows.map((row) => row[at] ?? null)
      const digits = fractionDigits(column.type, cells)
      const texts = cells.map((cell) => show(cell, column.type, digits).text).sort((a, b) => b.length - a.length)
      this.digits.push(digits)
      this.#longest.push(texts[0]?.length ?? 0)
      this.#wishes.push(wishedWidth(this.#widest([column.name], head), this.#widest(texts.slice(0, MEASURED_TEXTS), body)))
    }
    this.measured = rows.length > 0
  }

  /** A text comes into view. A number that is cut off is a wrong number: its column grows. Words may end in an ellipsis. */
  meet(at: number, text: string, type: ColumnType, body: Element): void {
    if (text.length <= (this.#longest[at] ?? 0) || typeof type !== 'string' || type === 'string' || type === 'binary') return
    this.#longest[at] = text.length
    const wish = wishedWidth(0, this.#widest([text], body))
    if (wish <= (this.#wishes[at] ?? 0)) return
    this.#wishes[at] = wish
    this.#grown = true
  }

  /** Whether a column wants more than it had when the grid was fitted. */
  get grown(): boolean {
    return this.#grown
  }

  fit(columns: Column[], room: number): void {
    this.#grown = false
    this.widths = fitWidths(
      this.#wishes,
      columns.map((column) => this.#chosen.get(column.name) ?? null),
      room,
    )
  }

  /** All columns keep the width that they have. */
  hold(columns: Column[]): void {
    for (const [at, column] of columns.entries()) this.#chosen.set(column.name, this.widths[at] ?? 0)
  }

  choose(column: string, width: number): void {
    this.#chosen.set(column, width)
  }

  /** The column goes back to the width of its content. */
  release(column: string): void {
    this.#chosen.delete(column)
    this.measured = false
  }

  #widest(texts: string[], where: Element): number {
    const context = this.#context
    if (context === null) return Math.max(0, ...texts.map((text) => text.length * WIDE_CHARACTER_PIXELS))
    // The shorthand is empty where a long form has no place in it, as tabular figures have none.
    const { fontSize, fontFamily, fontWeight } = getComputedStyle(where)
    context.font = `${fontWeight} ${fontSize} ${fontFamily}`
    return Math.max(0, ...texts.map((text) => context.measureText(text).width))
  }
}
