import { JobId } from '../contract/ids.ts'
import { jobsPageKey } from '../contract/keys.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { setTimer, setTimerBy } from '../storage/timers.ts'
import { type LedgerContext, moveOneTimer } from './context.ts'
import { type Bounds, boundsOf, census, collect, cut, expectLitter, litter, movable, nextPage, swept, trimEvents } from './housekeeping.ts'
import { HOUSEKEEPING_HURRY_MS, HOUSEKEEPING_PAUSE_MS, HOUSEKEEPING_SECONDS, MAX_KEPT_BYTES } from './limits.ts'
import type { MovedJobs } from './moved.ts'
import { merge, type PageRow, paginate } from './pages.ts'

/** Objects deleted by one firing. */
const LITTER_AT_ONCE = 100

export interface HousekeeperDeps {
  env: Env
  context: LedgerContext
  commit: <T>(body: (context: LedgerContext) => T) => T
  moved: MovedJobs
}

/** What it is at. In memory: a new life begins with the count. */
type Task =
  | { at: 'counting'; from: string; finished: number; dead: number }
  /** `left`: so many jobs are to move; `pressed`: also those that would stay a while longer. */
  | { at: 'moving'; from: string; left: number; dead: number; pressed: boolean }

/** `later`: there are too many jobs, and those that are left are still needed. */
type Outcome = 'more' | 'later' | 'done'

const START: Task = { at: 'counting', from: '', finished: 0, dead: 0 }

/** Keeps the database small: counts, moves the oldest finished jobs away, forgets old events. One step a firing of the timer. */
export class Housekeeper {
  readonly #deps: HousekeeperDeps
  readonly #bounds: Bounds
  /** Where it stands; tests set it, for the bounds are far above what they make. */
  task: Task = START
  #working = false
  /** The timer is set for the jobs that have ended. */
  #expected = false
  /** It is set for at once. */
  #pressed = false
  /** How many ended jobs there were at the last count, less what has moved since; null: not counted in this life. */
  #counted: number | null = null
  /** How many have ended since. */
  #ended = 0
  /** There were too many, and those that are left were still needed: milliseconds since 1970 of the next look. */
  #notBefore = 0

  constructor(deps: HousekeeperDeps) {
    this.#deps = deps
    this.#bounds = boundsOf(deps.env.SCARAB_HOUSEKEEPING)
  }

  /** A job has ended: there may be something to do before long. */
  expect(): void {
    this.#ended++
    const { most_jobs, kept_jobs, begin_seconds } = this.#bounds
    const pressed = this.#ended > (this.#counted === null ? most_jobs - kept_jobs : most_jobs - this.#counted)
    if (this.#expected && (this.#pressed || !pressed)) return
    this.#expected = true
    this.#pressed ||= pressed
    const { context, commit } = this.#deps
    const now = context.now()
    const due = pressed ? Math.max(now, this.#notBefore) : now + begin_seconds * 1000
    commit((inner) => setTimerBy(inner.store, 'housekeeping', '', due))
  }

  /** One step; then the timer is set for the next, or cleared when nothing is left to do. Never throws. */
  async step(): Promise<void> {
    if (this.#working) return
    this.#working = true
    this.#expected = false
    this.#pressed = false
    const { context, commit } = this.#deps
    try {
      const outcome = await (this.task.at === 'counting' ? this.#count(this.task) : this.#move(this.task))
      await this.#sweep()
      commit((inner) => {
        const now = context.now()
        const next = outcome === 'more' ? now + this.#pause() : nextTrim(trimEvents(inner), now)
        // Jobs may have ended meanwhile, and some that were too many are still needed.
        const pressed = this.#pressed || outcome === 'later'
        const late = this.#expected ? now + this.#bounds.begin_seconds * 1000 : null
        const expected = pressed ? Math.max(now, this.#notBefore) : late
        moveOneTimer(inner, 'housekeeping', next === null || expected === null ? (next ?? expected) : Math.min(next, expected))
      })
    } catch (reason) {
      console.warn(`housekeeping of ${context.tenant}: ${String(reason)}; it is tried again`)
      this.task = START
    } finally {
      this.#working = false
    }
  }

  #pause(): number {
    const { most_jobs, kept_jobs } = this.#bounds
    const hurries = this.task.at === 'moving' && this.task.left > 2 * (most_jobs - kept_jobs)
    return hurries ? HOUSEKEEPING_HURRY_MS : HOUSEKEEPING_PAUSE_MS
  }

  async #count(task: Task & { at: 'counting' }): Promise<Outcome> {
    const { context, commit } = this.#deps
    // What ends during the count may be in it or not, and is thought to be besides.
    if (task.from === '') this.#ended = 0
    const counted = census(context, task.from, MAX_KEPT_BYTES)
    if (counted.heavy.length > 0)
      commit((inner) => {
        // What settles a job's result takes care of its arguments too.
        for (const id of counted.heavy) setTimer(inner.store, 'purge', id, inner.now())
      })
    const finished = task.finished + counted.finished
    const dead = task.dead + counted.dead
    if (counted.last === null) this.#counted = finished
    if (counted.last !== null) this.task = { at: 'counting', from: counted.last, finished, dead }
    else if (finished > this.#bounds.most_jobs)
      this.task = { at: 'moving', from: '', left: finished - this.#bounds.kept_jobs, dead, pressed: false }
    else {
      this.task = START
      return 'done'
    }
    return 'more'
  }

  async #move(task: Task & { at: 'moving' }): Promise<Outcome> {
    const { context } = this.#deps
    const { stay_seconds, pressed_seconds } = this.#bounds
    const { ids, scanned } = movable(context, task.from, task.dead, task.pressed ? Math.min(stay_seconds, pressed_seconds) : stay_seconds)
    const { ids: chosen, replaces } = nextPage(context, ids.slice(0, task.left))
    const moved = chosen.length > 0 ? await this.#page(chosen, replaces) : 0
    const left = task.left - moved
    if (this.#counted !== null) this.#counted -= moved
    // Jobs that stay are passed over until the next count.
    const from = chosen.length > 0 && chosen.length < ids.length ? (chosen.at(-1) ?? '') : scanned
    if (left > 0 && from !== null) {
      this.task = { ...task, from, left }
      return 'more'
    }
    if (left > 0 && !task.pressed) {
      this.task = { ...task, from: '', left, pressed: true }
      return 'more'
    }
    this.task = START
    if (left <= 0) return 'done'
    this.#notBefore = context.now() + pressed_seconds * 1000
    return 'later'
  }

  /** Moves these jobs; answers how many. The objects are written before the rows are cut, under keys that nobody has used. */
  async #page(ids: string[], replaces: PageRow | null): Promise<number> {
    const { env, context, commit, moved } = this.#deps
    const jobs = collect(context, ids)
    const pages = paginate(replaces ? merge(await moved.open(replaces), jobs) : jobs)
    const rows: (PageRow & { text: string })[] = pages.map(({ first, last, jobs: count, text, words }) => ({
      first,
      last,
      jobs: count,
      bytes: text.length,
      key: jobsPageKey(context.tenant, JobId.parse(last), nonce(context)),
      words,
      text,
    }))
    commit((inner) => {
      for (const { key } of rows) expectLitter(inner, key)
    })
    await fault(env, 'ledger.page-announced')
    for (const { key, text } of rows) await env.RESULTS.put(key, text, { httpMetadata: { contentType: 'application/json' } })
    await fault(env, 'ledger.page-written')
    const done = commit((inner) => cut(inner, jobs, replaces, rows))
    await fault(env, 'ledger.page-cut')
    return done ? jobs.length : 0
  }

  /** Deletes objects that no page names: of moves that a crash has broken off, and of pages that were written anew. */
  async #sweep(): Promise<void> {
    const { env, context, commit } = this.#deps
    const keys = litter(context, LITTER_AT_ONCE)
    if (keys.length === 0) return
    await env.RESULTS.delete(keys)
    commit((inner) => swept(inner, keys))
  }
}

/** Old events are looked for again when the oldest may go, but not all the time. */
const nextTrim = (due: number | null, now: number): number | null =>
  due === null ? null : Math.max(due, now + HOUSEKEEPING_SECONDS * 1000)

const nonce = (context: LedgerContext): string => [...context.random(8)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
