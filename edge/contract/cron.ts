/**
 * The grammar of a schedule's times, checked alike by the node (a task's `schedule` line) and by the edge. When such a
 * schedule is due next is computed in `edge/ledger/cron.ts`.
 *
 * Five fields as in POSIX crontab (IEEE Std 1003.1, "crontab"): lists, ranges, and the common additions: steps, names of
 * months and days, 7 for Sunday, `L` for a month's last day, `5L` for its last Friday, `1#2` for its second Monday. No
 * seconds, no years. Where day of month and day of week are both given, a day that fits either of them counts.
 */
const NICKNAMES: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const DAYS_IN_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

interface Field {
  name: string
  least: number
  most: number
  /** Names of values, from `least` on. */
  names: readonly string[]
  example: string
}

const FIELDS = [
  { name: 'minute', least: 0, most: 59, names: [], example: '0, */15 or 0,30' },
  { name: 'hour', least: 0, most: 23, names: [], example: '6, 8-18 or */2' },
  { name: 'day of month', least: 1, most: 31, names: [], example: '1, 1-7, */2 or L' },
  { name: 'month', least: 1, most: 12, names: MONTHS, example: '1, jan or 4-6' },
  { name: 'day of week', least: 0, most: 7, names: WEEKDAYS, example: '1-5, mon, 5L or 1#2' },
] as const satisfies readonly Field[]

export type ReadCron =
  | {
      ok: true
      /** As it was written, with single blanks. */
      text: string
      /** Five fields of digits and `*,-/L#`. */
      pattern: string
    }
  | { ok: false; detail: string }

const MAX_QUOTED_CHARACTERS = 60
const quote = (text: string): string =>
  JSON.stringify(text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text)

/** A value of the field, or null. A range may end on Sunday, which then is 7. */
const numberOf = (text: string, field: Field, ends = false): number | null => {
  const named = field.names.indexOf(text.toLowerCase())
  if (named >= 0) return ends && field.most === 7 && named === 0 ? 7 : named + field.least
  if (!/^\d{1,3}$/.test(text)) return null
  const value = Number(text)
  return value >= field.least && value <= field.most ? value : null
}

type Part = { ok: true; text: string; values: number[] } | { ok: false; detail: string }

const readPart = (part: string, field: Field): Part => {
  const bad = (why: string): Part => ({
    ok: false,
    detail: `${field.name}: ${quote(part)} ${why}; write for example ${field.example}`,
  })
  const bounds = `${field.least} to ${field.most}`
  if (field.name === 'day of month' && part.toUpperCase() === 'L') return { ok: true, text: 'L', values: [28] }
  if (field.name === 'day of week') {
    const [, day = '', which = ''] = /^([^#]+?)(L|#[1-5])$/i.exec(part) ?? []
    const value = which === '' ? null : numberOf(day, field)
    if (value !== null) return { ok: true, text: `${value % 7}${which.toUpperCase()}`, values: [value] }
  }
  const [, range = '', step] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(part) ?? []
  if (range === '') return bad(part === '' ? 'is empty' : 'is no value, range or step')
  const every = step === undefined ? 1 : Number(step)
  const room = field.most - field.least + 1
  if (every < 1 || every > room) return bad(`has a step outside of 1 to ${room}`)
  let from: number | null = field.least
  let to: number | null = field.most
  if (range !== '*') {
    const [first = '', last, more] = range.split('-')
    from = numberOf(first, field)
    to = last === undefined ? from : numberOf(last, field, true)
    if (more !== undefined || from === null || to === null)
      return bad(`is not within ${bounds}${field.names.length > 0 ? ` or ${field.names[0]} to ${field.names.at(-1)}` : ''}`)
    if (from > to) return bad('runs backwards')
    if (step !== undefined && last === undefined) return bad('has a step but no range')
  }
  const values: number[] = []
  for (let value = from; value <= to; value += every) values.push(value)
  const text = range === '*' ? '*' : from === to ? String(from) : `${from}-${to}`
  return { ok: true, text: step === undefined || from === to ? text : `${text}/${every}`, values }
}

/**
 * Reads `0 6 * * 1-5` or `@daily`. What is refused is told by the name of the field, with a value that would do.
 * @example readCron('30 6 * * mon-fri') // { ok: true, text: '30 6 * * mon-fri', pattern: '30 6 * * 1-5' }
 */
export const readCron = (text: string): ReadCron => {
  const words = text.trim().split(/\s+/)
  const shown = words.join(' ')
  if (shown.startsWith('@')) {
    const pattern = NICKNAMES[shown.toLowerCase()]
    if (pattern !== undefined) return { ok: true, text: shown.toLowerCase(), pattern }
    return { ok: false, detail: `${quote(shown)} is not one of ${Object.keys(NICKNAMES).join(', ')}` }
  }
  if (words.length !== FIELDS.length) {
    const more = words.length > FIELDS.length ? ' (there are no seconds and no years)' : ''
    return {
      ok: false,
      detail: `${quote(shown)} has ${shown === '' ? 0 : words.length} fields, not five: ${FIELDS.map(({ name }) => name).join(', ')}${more}`,
    }
  }
  const parts: string[] = []
  const values: number[][] = []
  for (const [index, field] of FIELDS.entries()) {
    const read = (words[index] ?? '').split(',').map((part) => readPart(part, field))
    const wrong = read.find((part) => !part.ok)
    if (wrong && !wrong.ok) return wrong
    const good = read.filter((part) => part.ok)
    parts.push(good.map((part) => part.text).join())
    values.push(good.flatMap((part) => part.values))
  }
  const [, , days = [], months = []] = values
  const exists = months.some((month) => days.some((day) => day <= (DAYS_IN_MONTH[month - 1] ?? 0)))
  if (!exists && parts[4] === '*') return { ok: false, detail: `day of month: ${quote(words[2] ?? '')} never comes in month ${words[3]}` }
  return { ok: true, text: shown, pattern: parts.join(' ') }
}

/** Whether this is the name of a time zone of the IANA database (RFC 6557), as the runtime knows it. */
export const isTimeZone = (name: string): boolean => {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
