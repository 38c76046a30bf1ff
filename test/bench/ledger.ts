import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Env } from '../../edge/env.ts'
import { commit, type LedgerContext } from '../../edge/ledger/context.ts'
import { Housekeeper } from '../../edge/ledger/housekeeper.ts'
import { jobIds } from '../../edge/ledger/ids.ts'
import { JobDesk } from '../../edge/ledger/job-desk.ts'
import { MAX_FINISHED_JOBS } from '../../edge/ledger/limits.ts'
import { LedgerMemory } from '../../edge/ledger/memory.ts'
import { MovedJobs } from '../../edge/ledger/moved.ts'
import { eventNumbers } from '../../edge/ledger/numbers.ts'
import { LEDGER_MIGRATIONS } from '../../edge/ledger/schema.ts'
import { settle } from '../../edge/ledger/settle.ts'
import { fireTimers } from '../../edge/ledger/timers.ts'
import { migrate } from '../../edge/storage/migrate.ts'
import { nodeStore } from '../../edge/storage/node-store.ts'
import { count, type Figure, ms, quantile, timed } from './figures.ts'
import { fill, submitOne } from './fill.ts'

/** Jobs of a ledger that counts as empty: a list has a page of them to show. */
const FEW = 1_000
const ONE_YEAR_MS = 365 * 24 * 3600 * 1000

/** Object storage as files. */
const bucketAt = (folder: string) => {
  const pathOf = (key: string): string => join(folder, key)
  return {
    put: (key: string, text: string) => {
      mkdirSync(dirname(pathOf(key)), { recursive: true })
      writeFileSync(pathOf(key), text)
      return Promise.resolve()
    },
    get: (key: string) => Promise.resolve({ arrayBuffer: () => Promise.resolve(readFileSync(pathOf(key))) }),
    delete: (keys: string[]) => {
      for (const key of keys) rmSync(pathOf(key), { force: true })
      return Promise.resolve()
    },
  } as unknown as R2Bucket
}

/** One ledger on disk, wired as `LedgerObject` wires it, as far as jobs and housekeeping go. */
export const ledgerAt = (folder: string, tenant: LedgerContext['tenant']) => {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'ledger.sqlite')
  const store = nodeStore(path)
  store.all('PRAGMA journal_mode = WAL')
  store.all('PRAGMA synchronous = NORMAL')
  migrate(store, LEDGER_MIGRATIONS)
  let at = Date.now() - ONE_YEAR_MS
  const now = (): number => at
  const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
  let keeping: Promise<void> = Promise.resolve()
  let busy = false
  const context: LedgerContext = {
    store,
    memory: new LedgerMemory(),
    tenant,
    now,
    random,
    newJobId: jobIds(tenant, null, now, random),
    numbers: eventNumbers(store),
    emit: (effect) => {
      if (effect.kind === 'events' && effect.ended) keeper.expect()
      if (effect.kind === 'housekeeping') {
        busy = true
        keeping = keeper.step()
      }
    },
    settle,
  }
  const bucket = bucketAt(join(folder, 'objects'))
  const moved = new MovedJobs(context, bucket)
  const own = { context, commit: <T>(body: (inner: LedgerContext) => T): T => commit(context, body), moved }
  const keeper = new Housekeeper({ ...own, env: { RESULTS: bucket } as unknown as Env })
  return {
    context,
    desk: new JobDesk({ ...own, bucket, live: new Map(), untilEnded: () => Promise.resolve() }),
    pass: (milliseconds: number): void => {
      at += milliseconds
    },
    /** Lets timers fire, and the housekeeping with them, until nothing is due; answers the longest firing, ms. */
    rest: async (): Promise<number> => {
      let longest = 0
      do {
        busy = false
        at += 1_000
        const from = performance.now()
        fireTimers(context)
        await keeping
        longest = Math.max(longest, performance.now() - from)
      } while (busy)
      return longest
    },
    /** So many jobs have ended of which no effect tells. */
    ended: (jobs: number): void => {
      for (let job = 0; job < jobs; job++) keeper.expect()
    },
    megabytes: (): number => statSync(path).size / 1e6,
    close: () => store.close(),
  }
}
export type Ledger = ReturnType<typeof ledgerAt>

const TURNS = 2_000
const EVERYTHING = { alias: null, task: null, state: null, before: null, limit: 50 } as const

/** What is timed, by its name in the table. */
const ACTS: Record<string, (ledger: Ledger, turn: number) => Promise<unknown>> = {
  submit: (ledger, turn) => Promise.resolve(commit(ledger.context, (context) => submitOne({ ...ledger, context }, turn))),
  'list of 50': ({ desk }) => desk.list(EVERYTHING),
  'list of 50 that failed': ({ desk }) => desk.list({ ...EVERYTHING, state: 'failed' }),
  'a job': ({ desk, context }) => desk.job(String(context.store.all<{ id: string }>('SELECT max(id) AS id FROM jobs')[0]?.id), 0),
}

/** Both in turn, so that whatever else the machine does strikes both alike. Milliseconds, p50 and p99 of each. */
export const compare = async (few: Ledger, many: Ledger, act: (ledger: Ledger, turn: number) => Promise<unknown>): Promise<number[]> => {
  const taken: [number[], number[]] = [[], []]
  for (let turn = 0; turn < TURNS; turn++)
    for (const [index, ledger] of [few, many].entries()) taken[index]?.push(...(await timed(1, () => act(ledger, turn))))
  return taken.flatMap((values) => [quantile(values, 0.5), quantile(values, 0.99)])
}

/** Most of a ledger's database, whatever it has seen. */
const MAX_MEGABYTES = 1_000
const AIM = 1.5

/** The ledger's own part, without workerd: so many finished jobs, and lists and submits against a ledger that has few. */
export const measureLedger = async (folder: string, tenant: LedgerContext['tenant'], sizes: number[]): Promise<Figure[]> => {
  const figures: Figure[] = []
  for (const size of sizes) {
    const [few, many] = [ledgerAt(join(folder, `few-${size}`), tenant), ledgerAt(join(folder, String(size)), tenant)]
    try {
      await fill(few, FEW)
      const longest = await fill(many, size)
      for (const [name, act] of Object.entries(ACTS)) {
        const [fewHalf = 0, fewMost = 0, half = 0, most = 0] = await compare(few, many, act)
        figures.push({
          what: `${name}, ${count(size)} finished jobs, p50 / p99`,
          measured: `${fine(half)} / ${fine(most)} ms`,
          aim: `≤ ${AIM} ×`,
          beside: `${count(FEW)} finished jobs: ${fine(fewHalf)} / ${fine(fewMost)} ms`,
          good: most <= AIM * fewMost,
        })
      }
      const pages = many.context.store.all<{ last: string }>('SELECT last FROM pages ORDER BY last')
      if (pages.length > 0) {
        // Pages at random: most are not in memory.
        const deep = await timed(200, (turn) =>
          many.desk.list({ ...EVERYTHING, before: pages[(turn * 7919) % pages.length]?.last ?? null }),
        )
        const [half, most] = [quantile(deep, 0.5), quantile(deep, 0.99)]
        figures.push({
          what: `list of 50 from ${count(pages.length)} pages of moved jobs, p50 / p99`,
          measured: `${fine(half)} / ${fine(most)} ms`,
          aim: '',
          beside: 'without the way to object storage',
          good: null,
        })
      }
      figures.push(
        {
          what: `database, ${count(size)} finished jobs`,
          measured: `${Math.round(many.megabytes())} MB`,
          aim: `≤ ${MAX_MEGABYTES} MB`,
          beside: `the newest ${count(MAX_FINISHED_JOBS)} at most are in it`,
          good: many.megabytes() <= MAX_MEGABYTES,
        },
        { what: `longest step of the housekeeping, ${count(size)}`, measured: ms(longest), aim: '', beside: '', good: null },
      )
    } finally {
      few.close()
      many.close()
    }
  }
  return figures
}

export const fine = (value: number): string => value.toFixed(2)
