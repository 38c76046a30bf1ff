import type { Cell, Column } from './wire.ts'

/** The text of a cell in CSV and on the clipboard: the wire's text, nested values as JSON. */
export const cellText = (cell: Cell): string => {
  if (cell === null) return ''
  if (typeof cell === 'object') return JSON.stringify(cell)
  return String(cell)
}

const NEEDS_QUOTES = /[",\r\n]/

/** RFC 4180, LF line ends; NULL is an empty field, an empty text is `""`. The server writes the same. */
const field = (cell: Cell): string => {
  if (cell === null) return ''
  const text = cellText(cell)
  return text === '' || NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export const csvHeader = (columns: Column[]): string => `${columns.map((column) => field(column.name)).join(',')}\n`

export const csvRows = (rows: Cell[][]): string => {
  let text = ''
  for (const row of rows) text += `${row.map(field).join(',')}\n`
  return text
}

/** Rows as a spreadsheet pastes them. Tabs and line ends inside a cell would break the table, so they become blanks. */
export const tsv = (rows: Cell[][]): string =>
  rows.map((row) => row.map((cell) => cellText(cell).replace(/[\t\r\n]+/g, ' ')).join('\t')).join('\n')
