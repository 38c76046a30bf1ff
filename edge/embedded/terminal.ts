/** Pure texts for a terminal. */

const BAR_CELLS = 30
/** Longer cells are cut, so that a row stays one line. */
const MAX_CELL = 24

/** `█████░░░░░ 50 %  executing  1,234 rows`; without a percentage the bar stays open. */
export const bar = (percent: number | null, words: string): string => {
  const filled = Math.round((BAR_CELLS * Math.min(100, Math.max(0, percent ?? 0))) / 100)
  const share = percent === null ? '     ' : `${String(Math.floor(percent)).padStart(3)} %`
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${share}  ${words}`
}

const cellText = (value: unknown): string => {
  if (value === null || value === undefined) return '∅'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const plain = text.replace(/\p{Cc}/gu, ' ')
  return plain.length > MAX_CELL ? `${plain.slice(0, MAX_CELL - 1)}…` : plain
}

const NUMERIC = /^(int|long|float|double|decimal)/

/** Columns aligned, numbers to the right. */
export const table = (columns: { name: string; type: unknown }[], rows: unknown[][]): string[] => {
  const right = columns.map(({ type }) => typeof type === 'string' && NUMERIC.test(type))
  const cells = [columns.map(({ name }) => cellText(name)), ...rows.map((row) => columns.map((_, at) => cellText(row[at])))]
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => (row[at] ?? '').length)))
  const lines = cells.map((row) =>
    row
      .map((text, at) => (right[at] ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  const rule = widths.map((width) => '─'.repeat(width)).join('  ')
  return [...lines.slice(0, 1), rule, ...lines.slice(1)]
}

/** `0.123 s`, `12.3 s`. */
export const secondsText = (seconds: number): string => `${seconds.toFixed(seconds < 10 ? 3 : 1)} s`

export const numberText = (value: number): string => value.toLocaleString('en-US')
