import type { WireValue } from '../contract/columns.ts'

/** A value may stand bare unless it holds a separator, a quote or a line end (RFC 4180, section 2). */
const SPECIAL = /[",\r\n]/

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`

/** NULL is nothing at all, empty text is `""`, nested values are JSON, everything else is the wire value's text. */
export const csvValue = (value: WireValue): string => {
  if (value === null) return ''
  const text = typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value)
  return text === '' || SPECIAL.test(text) ? quoted(text) : text
}

/** CSV with a header line, lines ended by LF, as RFC 4180 quotes. */
export const csvOf = (columns: { name: string }[], rows: WireValue[][]): string => {
  const lines = [columns.map(({ name }) => csvValue(name)), ...rows.map((row) => row.map(csvValue))]
  return lines.map((cells) => `${cells.join(',')}\n`).join('')
}
