import { CROCKFORD } from '../contract/ids.ts'
import { isTerminal, type JobState } from '../contract/jobs.ts'
import type { SqlValue } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { pageAt } from './housekeeping.ts'
import type { JobRow } from './jobs.ts'
import { LIST_PAGES_LOOKED_AT, LIST_PAGES_OPENED, LIST_SCAN_ROWS, MAX_PAGE } from './limits.ts'
import { type MovedJob, mayMatch, type PageRow, wordsOf } from './pages.ts'
import { fitting } from './read.ts'
import { type InnerState, SHOWN } from './states.ts'

export interface ListQuery {
  alias: string | null
  task: string | null
  state: JobState | null
  /** Jobs older than this id. */
  before: string | null
  limit: number
}

/** `next`: the list goes on with jobs older than this id; null: that was all. A page may be short, or empty, and go on. */
export interface Listed {
  rows: JobRow[]
  next: string | null
}

/** Greater than every job's id. */
const TOP = '~'

/** The least id above this one. */
export const above = (id: string): string => {
  const chars = [...id]
  for (let index = chars.length - 1; index >= 0; index--) {
    const digit = CROCKFORD.indexOf(chars[index] ?? '') + 1
    chars[index] = CROCKFORD.charAt(digit % 32)
    if (digit < 32) return chars.join('')
  }
  return TOP
}

const innerOf = (state: JobState): InnerState[] => (Object.keys(SHOWN) as InnerState[]).filter((inner) => SHOWN[inner] === state)

const named = (states: readonly string[]): string =>
  states.length === 1 ? `= '${states[0]}'` : `IN (${states.map((state) => `'${state}'`).join(', ')})`

/** The indexes over the jobs that are alive, few among millions, and which states they hold. */
const ALIVE: { index: string; states: InnerState[] }[] = [
  { index: 'jobs_lane', states: ['waiting'] },
  { index: 'jobs_held', states: ['offered', 'leased', 'running', 'carrying'] },
  { index: 'jobs_parked', states: ['blocked', 'joined', 'scheduled'] },
]

/** Ids of all live jobs in these states; null when there are more than a list looks at. */
const aliveIds = ({ store }: LedgerContext, wanted: readonly InnerState[]): string[] | null => {
  const ids: string[] = []
  for (const { index, states } of ALIVE) {
    const those = states.filter((inner) => wanted.includes(inner))
    if (those.length === 0) continue
    // The index is found by all of its states; named again only where some of them are not asked for.
    const narrowed = those.length < states.length ? ` AND state ${named(those)}` : ''
    const found = store.all<{ id: string }>(
      `SELECT id FROM jobs INDEXED BY ${index} WHERE state ${named(states)}${narrowed} LIMIT ?`,
      LIST_SCAN_ROWS + 1,
    )
    if (found.length > LIST_SCAN_ROWS) return null
    ids.push(...found.map(({ id }) => id))
  }
  return ids
}

/** Walked from the newest on, a bounded part at a time: all jobs, or those that came to nothing. */
const ALL = 'jobs WHERE id < ?'
const STOPPED = `jobs INDEXED BY jobs_stopped WHERE state IN ('failed', 'cancelled') AND id < ?`

/** Ids that the query wants, the newest first, at most `limit`; `floor`: every id from here on was looked at ('' for all). */
const idsOf = (context: LedgerContext, { alias, task, state, before }: ListQuery, limit: number): { ids: string[]; floor: string } => {
  const { store } = context
  const inner = state === null ? null : innerOf(state)
  const where: string[] = ['deleted_at IS NULL']
  const values: SqlValue[] = []
  if (task !== null) {
    where.push('task = ?')
    values.push(task)
  }
  if (inner) where.push(`state ${named(inner)}`)
  const conditions = where.join(' AND ')
  const all = (query: string, ...more: SqlValue[]): string[] => store.all<{ id: string }>(query, ...more).map(({ id }) => id)
  const below = before ?? TOP
  const whole = (ids: string[]): { ids: string[]; floor: string } => ({ ids, floor: ids.length < limit ? '' : (ids.at(-1) ?? '') })
  if (alias !== null)
    return whole(
      all(`SELECT id FROM jobs WHERE alias = ? AND id < ? AND ${conditions} ORDER BY id DESC LIMIT ?`, alias, below, ...values, limit),
    )
  const among = (ids: string[]): string[] =>
    all(
      `SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND id < ? AND ${conditions} ORDER BY id DESC LIMIT ?`,
      JSON.stringify(ids),
      below,
      ...values,
      limit,
    )
  const stopped = state === 'failed' || state === 'cancelled'
  const alive = inner && state !== 'succeeded' ? aliveIds(context, inner) : null
  if (alive && !stopped) return whole(among(alive))
  const source = stopped ? STOPPED : ALL
  const walked = all(
    `SELECT id FROM (SELECT id, deleted_at, task, state FROM ${source} ORDER BY id DESC LIMIT ?) WHERE ${conditions} LIMIT ?`,
    below,
    LIST_SCAN_ROWS,
    ...values,
    limit,
  )
  const floor =
    walked.length >= limit
      ? (walked.at(-1) ?? '')
      : (all(`SELECT id FROM ${source} ORDER BY id DESC LIMIT 1 OFFSET ?`, below, LIST_SCAN_ROWS - 1)[0] ?? '')
  // A job whose submitter has left counts as cancelled while a node still runs it for others.
  const besides = stopped && alive && alive.length > 0 ? among(alive).filter((id) => id >= floor) : []
  if (besides.length === 0) return { ids: walked, floor }
  const ids = [...walked, ...besides].sort((one, other) => (one < other ? 1 : -1)).slice(0, limit)
  return { ids, floor: ids.length < limit ? floor : (ids.at(-1) ?? '') }
}

/** Jobs of the database, newest first, keyset by id; deleted ones are not listed. Looks at a bounded number of rows. */
export const listJobs = (context: LedgerContext, query: ListQuery): Listed => {
  const limit = Math.min(Math.max(1, query.limit), MAX_PAGE)
  const { ids, floor } = idsOf(context, query, limit + 1)
  // Sizes first: arguments may have a megabyte a job, and a page must fit into memory and into one answer.
  const sizes = context.store.all<{ id: string; size: number }>(
    'SELECT id, length(args) AS size FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC',
    JSON.stringify(ids),
  )
  const taken = sizes.slice(0, Math.min(limit, fitting(sizes))).map(({ id }) => id)
  const rows = context.store.all<JobRow>(
    'SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC',
    JSON.stringify(taken),
  )
  const cut = taken.length < ids.length ? (taken.at(-1) ?? '') : floor
  return { rows, next: cut === '' ? null : cut }
}

const matches = (row: JobRow, { alias, task, state }: ListQuery): boolean =>
  row.deleted_at === null &&
  (alias === null || row.alias === alias) &&
  (task === null || row.task === task) &&
  (state === null || SHOWN[row.state] === state)

/**
 * The database's jobs and those that have moved, in one order. Opens a bounded number of pages, and only those that may hold
 * what is asked for; a job that is in both (it came back) counts as it is in the database.
 */
export const listEverywhere = async (
  context: LedgerContext,
  query: ListQuery,
  open: (page: PageRow) => Promise<readonly MovedJob[]>,
): Promise<Listed> => {
  const { store } = context
  const limit = Math.min(Math.max(1, query.limit), MAX_PAGE)
  const here = listJobs(context, query)
  // What is alive is here: pages hold ended jobs only.
  if (query.state !== null && !isTerminal(query.state)) return here
  const words = wordsOf(query)
  const below = query.before ?? TOP
  const found: JobRow[] = []
  const listed = new Set(here.rows.map(({ id }) => id))
  let floor = here.next ?? ''
  let opened = 0
  let looked = 0
  // Pages do not overlap: above the one in whose range the list goes on, all are newer.
  let top = pageAt(context, below)?.last ?? TOP
  // Most lists need the first few of them; one whose filter takes little asks all that it may.
  let next: PageRow[] = []
  const after = (bound: '<' | '<=', most: number): PageRow[] =>
    store.all<PageRow>(`SELECT * FROM pages WHERE last ${bound} ? AND last >= ? ORDER BY last DESC LIMIT ?`, top, floor, most)
  for (let first = true; found.length <= limit; first = false) {
    if (next.length === 0) next = first ? after('<=', LIST_PAGES_OPENED + 1) : after('<', LIST_PAGES_LOOKED_AT)
    const page = next.shift()
    if (!page) break
    top = page.last
    if (page.first >= below) continue
    if (opened >= LIST_PAGES_OPENED || looked >= LIST_PAGES_LOOKED_AT) {
      // What lies above this page is complete, and the next request begins with it.
      floor = above(page.last)
      break
    }
    looked++
    if (!mayMatch(page, words)) continue
    opened++
    const rows = (await open(page)).map(({ row }) => row).filter((row) => row.id < below && row.id >= floor && matches(row, query))
    const back = new Map(
      store
        .all<JobRow>('SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))', JSON.stringify(rows.map(({ id }) => id)))
        .map((row) => [row.id, row]),
    )
    // One may have moved, or come back, while a page was read: it is listed once, and as it is now.
    const wanted = rows.map((row) => back.get(row.id) ?? row).filter((row) => !listed.has(row.id) && matches(row, query))
    for (const { id } of wanted) listed.add(id)
    found.push(...wanted)
  }
  const rows = [...here.rows, ...found].filter(({ id }) => id >= floor).sort((one, other) => (one.id < other.id ? 1 : -1))
  const more = rows.length > limit
  const taken = more ? rows.slice(0, limit) : rows
  const from = more ? (taken.at(-1)?.id ?? '') : floor
  return { rows: taken, next: from === '' ? null : from }
}
