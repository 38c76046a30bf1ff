import { type JobId, TaskName } from '../../edge/contract/ids.ts'
import { commit } from '../../edge/ledger/context.ts'
import { complete, fail } from '../../edge/ledger/finish.ts'
import { completion, HOLDER, nodeTask, request, submission } from '../../edge/ledger/fixture.ts'
import { accept, offer } from '../../edge/ledger/leases.ts'
import { MOVE_AFTER_SECONDS } from '../../edge/ledger/limits.ts'
import { publicationOutcome } from '../../edge/ledger/publication.ts'
import { submit } from '../../edge/ledger/submit.ts'
import type { Ledger } from './ledger.ts'

/** Jobs ended in one transaction while the ledger is filled. */
const BATCH = 500
/** So many jobs of a ledger fail: a page of them to show, and more. */
const FAILS = 500
/** Batches between two looks of the housekeeping. */
const BATCHES_A_REST = 20
const TASKS = ['daily', 'other', 'rare'].map((name) => TaskName.parse(name))
const KNOWN = Object.fromEntries(TASKS.map((name) => [name, nodeTask('a')]))

export const submitOne = ({ context }: Pick<Ledger, 'context'>, number: number): JobId => {
  const task = TASKS[number % 1_000 === 0 ? 2 : number % 2] ?? submission().task
  const args = [`2026-01-${String(1 + (number % 28)).padStart(2, '0')}`, number]
  const taken = submit(context, submission({ task, args }), 0)
  if (!taken.ok) throw new Error(taken.detail)
  return taken.job.id
}

/** Runs a batch by the ledger's own functions: submitted, run, completed (or failed) and published. */
const run = ({ context }: Ledger, from: number, fails: (number: number) => boolean): void => {
  commit(context, (inner) => {
    for (let number = 0; number < BATCH; number++) submitOne({ context: inner }, from + number)
  })
  const leases = commit(context, (inner) => offer(inner, request(HOLDER, BATCH, KNOWN))).offers
  const held = leases.map(({ job, attempt }) => ({ job, attempt }))
  commit(context, (inner) =>
    accept(
      inner,
      HOLDER,
      held.map((lease) => ({ ...lease, start: true })),
    ),
  )
  const bad = held.filter((_, index) => fails(from + index))
  const good = held.filter((_, index) => !fails(from + index))
  const failure = { class: 'sql', code: 'sql_error', message: 'division by zero' } as const
  commit(context, (inner) =>
    fail(
      inner,
      HOLDER,
      bad.map((lease) => ({ ...lease, failure })),
    ),
  )
  commit(context, (inner) =>
    complete(
      inner,
      HOLDER,
      good.map(({ job, attempt }) => completion(job, attempt)),
    ),
  )
  const snapshot = '1234567890123456789'
  commit(context, (inner) =>
    publicationOutcome(
      inner,
      good.map((lease) => ({ ...lease, publication: 'published' as const, snapshot, reason: null })),
    ),
  )
  // What settling a small result does, without its trip to object storage.
  context.store.run('UPDATE results SET inline_parquet = NULL WHERE inline_parquet IS NOT NULL')
  context.store.run(`DELETE FROM timers WHERE kind = 'purge'`)
}

/** Writes rows as those of the jobs in `models`, all of one batch, under new ids and numbers, as if the same had happened again now; answers those ids. */
const repeat = ({ context, ended }: Ledger, models: readonly string[]): string[] => {
  const { store } = context
  const now = context.now()
  const ids = models.map(() => context.newJobId())
  const pairs = JSON.stringify(models.map((old, index) => [old, ids[index]]))
  const from = `FROM (SELECT value ->> 0 AS old, value ->> 1 AS new FROM json_each(?)) AS pairs`
  const columns = store.all<{ name: string }>("SELECT name FROM pragma_table_info('jobs')").map(({ name }) => name)
  const times = ['created_at', 'started_at', 'finished_at']
  const values = columns.map((name) => (name === 'id' ? 'pairs.new' : times.includes(name) ? String(now) : `jobs.${name}`))
  store.transaction(() => {
    store.run(`INSERT INTO jobs (${columns.join()}) SELECT ${values.join()} ${from} JOIN jobs ON jobs.id = pairs.old`, pairs)
    const [range = { least: 0, most: 0 }] = store.all<{ least: number; most: number }>(
      `SELECT min(n) AS least, max(n) AS most ${from} JOIN events ON events.job = pairs.old`,
      pairs,
    )
    const shift = context.numbers.next() - range.least
    while (context.numbers.last() < range.most + shift) context.numbers.next()
    store.run(
      `INSERT INTO events (job, seq, type, state, at, body, n) SELECT pairs.new, seq, type, state, ${now}, body, n + ${shift} ${from}
       JOIN events ON events.job = pairs.old`,
      pairs,
    )
    store.run(
      `INSERT INTO results (job, manifest, inline_rows) SELECT pairs.new, replace(manifest, pairs.old, pairs.new), inline_rows ${from}
       JOIN results ON results.job = pairs.old`,
      pairs,
    )
  })
  ended(models.length)
  return ids
}

/**
 * Jobs that were submitted, run, completed (some of them failed) and published, with the housekeeping at work in between. The
 * first of many are what they are by the ledger's own functions; rows like theirs are written for the rest, which takes a
 * tenth of the time. Answers the longest step of the housekeeping, ms.
 */
export const fill = async (ledger: Ledger, jobs: number): Promise<number> => {
  const every = Math.max(2, Math.floor(jobs / FAILS))
  const isModel = jobs > 20 * BATCH
  const models: { good: string[]; bad: string[] } = { good: [], bad: [] }
  let longest = 0
  for (let done = 0; done < jobs; done += BATCH) {
    const fails = (number: number): boolean => number % every === 0
    if (models.good.length === 0) {
      run(ledger, done, isModel ? (number) => number === 0 : fails)
      const ids = (state: string): string[] =>
        ledger.context.store.all<{ id: string }>('SELECT id FROM jobs WHERE state = ? ORDER BY id', state).map(({ id }) => id)
      if (isModel) Object.assign(models, { good: ids('succeeded'), bad: ids('failed') })
    } else {
      const failed = Array.from({ length: BATCH }, (_, n) => done + n).filter(fails).length
      // Models move with the oldest: the newest take their place. One that fails has gone before.
      models.good = repeat(ledger, models.good)
      for (let n = 0; n < failed; n++) models.bad = repeat(ledger, models.bad)
    }
    // As if 50 jobs a second came all the time.
    ledger.pass(10_000)
    if ((done / BATCH) % BATCHES_A_REST === BATCHES_A_REST - 1) longest = Math.max(longest, await ledger.rest())
  }
  ledger.pass(MOVE_AFTER_SECONDS * 1_000)
  return Math.max(longest, await ledger.rest())
}
