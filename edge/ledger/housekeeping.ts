import { isTerminal, type JobState } from '../contract/jobs.ts'
import { first, type SqlValue } from '../storage/store.ts'
import { writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import type { JobRow } from './jobs.ts'
import {
  DEAD_LETTER_DAYS,
  EVENT_DAYS,
  HOUSEKEEPING_ROWS,
  HOUSEKEEPING_SECONDS,
  KEPT_FINISHED_JOBS,
  MAX_DEAD_LETTERS,
  MAX_FINISHED_JOBS,
  MOVE_AFTER_SECONDS,
  PACK_SECONDS,
  PAGE_JOBS,
  PRESSED_STAY_SECONDS,
} from './limits.ts'
import { mark, raiseEventsFloor, setMark } from './numbers.ts'
import type { MovedJob, PageRow, StoredEvent, StoredSlice } from './pages.ts'
import type { ResultRow } from './read.ts'
import { forgetReusable, noteReusable } from './reusable.ts'
import { type InnerState, isEnded } from './states.ts'

const DAY_MS = 24 * 3600 * 1000

/** What the housekeeping goes by. */
export interface Bounds {
  /** Ended jobs in the database: so many set it to work, so many are left. */
  most_jobs: number
  kept_jobs: number
  /** How long a job stays after its end. */
  stay_seconds: number
  /** … and how long where there are too many. */
  pressed_seconds: number
  /** How long after the end of a job it looks. */
  begin_seconds: number
}

const BOUNDS: Bounds = {
  most_jobs: MAX_FINISHED_JOBS,
  kept_jobs: KEPT_FINISHED_JOBS,
  stay_seconds: MOVE_AFTER_SECONDS,
  pressed_seconds: PRESSED_STAY_SECONDS,
  begin_seconds: HOUSEKEEPING_SECONDS,
}

/** The bounds of limits.ts, or those that a test has set (`SCARAB_HOUSEKEEPING`, JSON). */
export const boundsOf = (text: string | undefined): Bounds =>
  text === undefined ? BOUNDS : { ...BOUNDS, ...(JSON.parse(text) as Partial<Bounds>) }

const listed = (values: readonly string[]): string => JSON.stringify(values)

/** How many jobs have ended, counted in parts: `from` is the id that the part before ended with. `last` null: that was all. */
export interface Census {
  finished: number
  dead: number
  last: string | null
  /** Ended jobs whose arguments are more than they may keep here. */
  heavy: string[]
}

export const census = ({ store }: LedgerContext, from: string, heavyBytes: number): Census => {
  const rows = store.all<{ id: string; state: InnerState; dead: number; heavy: number }>(
    `SELECT id, state, state = 'failed' AND retried_as IS NULL AND deleted_at IS NULL AS dead,
       finished_at IS NOT NULL AND publication <> 'pending' AND length(args) > ? AS heavy
     FROM jobs WHERE id > ? ORDER BY id LIMIT ?`,
    heavyBytes,
    from,
    HOUSEKEEPING_ROWS,
  )
  return {
    finished: rows.filter(({ state }) => isEnded(state)).length,
    dead: rows.filter(({ dead }) => dead === 1).length,
    last: rows.length < HOUSEKEEPING_ROWS ? null : (rows.at(-1)?.id ?? null),
    heavy: rows.filter(({ heavy }) => heavy === 1).map(({ id }) => id),
  }
}

/** Timers that have work left with a job. */
const TIMERS_OF_JOBS = ['purge', 'due', 'cancel', 'expire']

type Light = Pick<JobRow, 'id' | 'state' | 'finished_at' | 'publication' | 'deleted_at' | 'retried_as' | 'grp'>

/**
 * Ids of ended jobs that may leave the database, the oldest first, after `from`; looks at a bounded number of rows. What
 * stays: jobs on which work is left (publication, deletion, timers, a pack that may come), to which jobs that are here point, whose group is
 * alive, and dead letters (unless there are too many). `scanned`: how far it looked; null: to the end.
 */
export const movable = (
  context: LedgerContext,
  from: string,
  dead: number,
  stay_seconds = MOVE_AFTER_SECONDS,
): { ids: string[]; scanned: string | null } => {
  const { store } = context
  const before = context.now() - stay_seconds * 1000
  const deadBefore = dead > MAX_DEAD_LETTERS ? before : context.now() - DEAD_LETTER_DAYS * DAY_MS
  const rows = store.all<Light>(
    'SELECT id, state, finished_at, publication, deleted_at, retried_as, grp FROM jobs WHERE id > ? ORDER BY id LIMIT ?',
    from,
    HOUSEKEEPING_ROWS,
  )
  const old = rows.filter(
    ({ state, finished_at, publication, deleted_at, retried_as }) =>
      isEnded(state) &&
      finished_at !== null &&
      publication !== 'pending' &&
      finished_at <= (state === 'failed' && retried_as === null && deleted_at === null ? deadBefore : before),
  )
  const ids = listed(old.map(({ id }) => id))
  const named = (query: string, ...values: SqlValue[]): string[] => store.all<{ id: string }>(query, ...values).map(({ id }) => id)
  const groups = new Set(
    named(
      'SELECT id FROM groups WHERE finished_at IS NULL AND id IN (SELECT value FROM json_each(?))',
      listed(old.flatMap(({ grp }) => (grp === null ? [] : [grp]))),
    ),
  )
  const again = new Set(
    named('SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?))', listed(old.flatMap(({ retried_as }) => retried_as ?? []))),
  )
  const pinned = new Set([
    ...named('SELECT job AS id FROM outbox WHERE job IN (SELECT value FROM json_each(?))', ids),
    ...named(
      'SELECT ref AS id FROM timers WHERE kind IN (SELECT value FROM json_each(?)) AND ref IN (SELECT value FROM json_each(?))',
      listed(TIMERS_OF_JOBS),
      ids,
    ),
    ...named('SELECT job AS id FROM results WHERE job IN (SELECT value FROM json_each(?)) AND inline_parquet IS NOT NULL', ids),
    ...named(
      'SELECT job AS id FROM results WHERE job IN (SELECT value FROM json_each(?)) AND pack_bytes IS NULL AND inline_rows IS NULL',
      listed(old.flatMap(({ id, finished_at }) => ((finished_at ?? 0) + PACK_SECONDS * 1000 > context.now() ? [id] : []))),
    ),
    // Each by the index that holds it.
    ...named(
      `SELECT DISTINCT coalesced_with AS id FROM jobs WHERE state = 'joined' AND coalesced_with IN (SELECT value FROM json_each(?))`,
      ids,
    ),
    ...named(
      `SELECT DISTINCT coalesced_with AS id FROM jobs WHERE state <> 'joined' AND coalesced_with IN (SELECT value FROM json_each(?))`,
      ids,
    ),
    ...named('SELECT DISTINCT reused_from AS id FROM jobs WHERE reused_from IN (SELECT value FROM json_each(?))', ids),
  ])
  const free = old.filter(
    ({ id, grp, retried_as }) => !pinned.has(id) && (grp === null || !groups.has(grp)) && (retried_as === null || !again.has(retried_as)),
  )
  return { ids: free.map(({ id }) => id), scanned: rows.length < HOUSEKEEPING_ROWS ? null : (rows.at(-1)?.id ?? null) }
}

/** The page within whose range an id lies, or the next one above it. */
export const pageAt = ({ store }: LedgerContext, id: string): PageRow | undefined =>
  first<PageRow>(store, 'SELECT * FROM pages WHERE last >= ? ORDER BY last LIMIT 1', id)

export const holdsId = (page: PageRow | undefined, id: string): page is PageRow => page !== undefined && page.first <= id

/**
 * Which of these jobs make the next page. Pages never overlap: those that lie within the range of a page go into it, and it
 * is written anew; others stay below the page that follows.
 */
export const nextPage = (context: LedgerContext, ids: readonly string[]): { ids: string[]; replaces: PageRow | null } => {
  const [oldest] = ids
  if (oldest === undefined) return { ids: [], replaces: null }
  const page = pageAt(context, oldest)
  const replaces = holdsId(page, oldest) ? page : null
  const fits = (id: string): boolean => (replaces ? id <= replaces.last : page === undefined || id < page.first)
  return { ids: ids.filter(fits).slice(0, PAGE_JOBS), replaces }
}

/** All rows of these jobs, in the order of their ids. */
export const collect = ({ store }: LedgerContext, ids: readonly string[]): MovedJob[] => {
  const wanted = listed(ids)
  const events = Map.groupBy(
    store.all<StoredEvent>('SELECT * FROM events WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, seq', wanted),
    ({ job }) => job,
  )
  const results = new Map(
    store.all<ResultRow>('SELECT * FROM results WHERE job IN (SELECT value FROM json_each(?))', wanted).map((row) => [row.job, row]),
  )
  const slices = Map.groupBy(
    store.all<StoredSlice>(
      'SELECT * FROM slices WHERE result IN (SELECT value FROM json_each(?)) ORDER BY result, hash',
      listed(ids.map((id) => `r${id}`)),
    ),
    ({ result }) => result,
  )
  return store.all<JobRow>('SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id', wanted).map((row) => ({
    row,
    events: events.get(row.id) ?? [],
    result: results.get(row.id) ?? null,
    slices: slices.get(`r${row.id}`) ?? [],
  }))
}

/**
 * The commit point of a move: the pages count from here on, the rows go, and the page that was written anew becomes litter.
 * False, and nothing is done, when a job has changed since it was collected.
 */
export const cut = (context: LedgerContext, moved: readonly MovedJob[], replaces: PageRow | null, pages: readonly PageRow[]): boolean => {
  const { store, memory } = context
  const ids = moved.map(({ row }) => row.id)
  if (replaces && first(store, 'SELECT 1 AS there FROM pages WHERE key = ?', replaces.key) === undefined) return false
  if (JSON.stringify(collect(context, ids)) !== JSON.stringify(moved)) return false
  const wanted = listed(ids)
  store.run('DELETE FROM events WHERE job IN (SELECT value FROM json_each(?))', wanted)
  store.run('DELETE FROM results WHERE job IN (SELECT value FROM json_each(?))', wanted)
  store.run('DELETE FROM slices WHERE result IN (SELECT value FROM json_each(?))', listed(ids.map((id) => `r${id}`)))
  store.run('DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))', wanted)
  for (const id of ids) memory.jobs.delete(id)
  // One that has heard that its result has expired keeps it no more, and is called back no more.
  for (const { row } of moved)
    if (
      writerOf(row) !== row.id &&
      row.state === 'succeeded' &&
      row.deleted_at === null &&
      row.finished_at !== null &&
      row.publication !== 'expired'
    )
      store.run(
        'INSERT INTO away (writer, job, finished_at, retention_seconds) VALUES (?, ?, ?, ?) ON CONFLICT (writer, job) DO NOTHING',
        writerOf(row),
        row.id,
        row.finished_at,
        row.retention_seconds,
      )
  for (const { row } of moved) noteReusable(context, row)
  raiseEventsFloor(store, Math.max(0, ...moved.flatMap(({ events }) => events.map(({ n }) => n ?? 0))))
  if (replaces) {
    store.run('DELETE FROM pages WHERE last = ?', replaces.last)
    store.run('INSERT INTO litter (key) VALUES (?) ON CONFLICT (key) DO NOTHING', replaces.key)
  }
  for (const { last, first: from, jobs, bytes, key, words } of pages) {
    store.run('INSERT INTO pages (last, first, jobs, bytes, key, words) VALUES (?, ?, ?, ?, ?, ?)', last, from, jobs, bytes, key, words)
    store.run('DELETE FROM litter WHERE key = ?', key)
  }
  return true
}

/** Said before an object is written: it is litter until a page names it, so that a crash leaves nothing that nobody knows of. */
export const expectLitter = ({ store }: LedgerContext, key: string): void => {
  store.run('INSERT INTO litter (key) VALUES (?) ON CONFLICT (key) DO NOTHING', key)
}

export const litter = ({ store }: LedgerContext, most: number): string[] =>
  store.all<{ key: string }>('SELECT key FROM litter ORDER BY key LIMIT ?', most).map(({ key }) => key)

export const swept = ({ store }: LedgerContext, keys: readonly string[]): void => {
  store.run('DELETE FROM litter WHERE key IN (SELECT value FROM json_each(?))', listed(keys))
}

/** What a page does not say (it may be older than a column) is as the table has it by default. */
const insert = (context: LedgerContext, table: string, row: object): void => {
  const said = Object.entries(row).filter(([, value]) => value !== null) as [string, SqlValue][]
  context.store.run(
    `INSERT INTO ${table} (${said.map(([column]) => column).join(', ')}) VALUES (${said.map(() => '?').join(', ')}) ON CONFLICT DO NOTHING`,
    ...said.map(([, value]) => value),
  )
}

/** A job comes back, because something is about to change it. From now on what stands here counts, not what its page says. */
export const recall = (context: LedgerContext, { row, events, result, slices }: MovedJob): void => {
  if (first(context.store, 'SELECT 1 AS there FROM jobs WHERE id = ?', row.id) !== undefined) return
  insert(context, 'jobs', row)
  context.store.run('DELETE FROM away WHERE writer = ? AND job = ?', writerOf(row), row.id)
  forgetReusable(context, row)
  for (const event of events) insert(context, 'events', event)
  if (result) insert(context, 'results', result)
  for (const slice of slices) insert(context, 'slices', slice)
}

/** Jobs in object storage that point to what this one wrote: the first of them, in the order of their ids. */
export const awayFrom = ({ store }: LedgerContext, writer: string, most: number): string[] =>
  store.all<{ job: string }>('SELECT job FROM away WHERE writer = ? ORDER BY job LIMIT ?', writer, most).map(({ job }) => job)

/** One of which no page knows. */
export const forgetAway = ({ store }: LedgerContext, writer: string, job: string): void => {
  store.run('DELETE FROM away WHERE writer = ? AND job = ?', writer, job)
}

/**
 * Forgets old events of ended jobs, all but each job's last one; looks at a bounded number of rows. Answers when the next
 * may go, in milliseconds since 1970, or null when there is none.
 */
export const trimEvents = (context: LedgerContext): number | null => {
  const { store } = context
  const before = context.now() - EVENT_DAYS * DAY_MS
  const from = mark(store, 'events_walk')
  const rows = store.all<{ n: number; job: string; seq: number; type: string; state: JobState; at: number }>(
    'SELECT n, job, seq, type, state, at FROM events WHERE n > ? ORDER BY n LIMIT ?',
    from,
    HOUSEKEEPING_ROWS,
  )
  let walked = from
  let due: number | null = null
  for (const { n, job, seq, type, state, at } of rows) {
    if (at > before) {
      due = at + EVENT_DAYS * DAY_MS
      break
    }
    walked = n
    // Each ended job has one such event: what came before it goes with it.
    if (type === 'state' && isTerminal(state))
      store.run('DELETE FROM events WHERE job = ? AND seq <= ? AND seq < (SELECT max(seq) FROM events WHERE job = ?)', job, seq, job)
  }
  if (walked > from) {
    setMark(store, 'events_walk', walked)
    raiseEventsFloor(store, walked)
  }
  return due ?? (rows.length === HOUSEKEEPING_ROWS ? context.now() : null)
}
