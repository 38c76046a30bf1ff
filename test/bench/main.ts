import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { TenantId } from '../../edge/contract/ids.ts'
import { type System, startSystem } from '../../edge/embedded/system.ts'
import { type Figure, markdown } from './figures.ts'
import { FLIGHTS } from './flights.ts'
import { MILLION_TASK, measureLargeJob } from './large-job.ts'
import { measureLedger } from './ledger.ts'
import { measureLoad } from './load.ts'
import { measureRows } from './rows.ts'
import { FLIGHTS_TASK, measureSlices } from './slices.ts'
import { measureSmallJobs, ONE_ROW_TASK } from './small-jobs.ts'
import { startSource } from './source.ts'
import { measureWaiting } from './waiting.ts'

/**
 * `npm run bench [-- part …]`: parts are `small`, `large`, `slices` and `ledger`; all without one (`ledger` fills a million jobs only when
 * it is named). Prints a table in Markdown, each
 * figure with its aim and with a limit or a peer that was measured in the same run.
 */

const PARTS = ['small', 'large', 'slices', 'ledger'] as const
const TENANT = 'bench'
/** A database can work on more statements than the node has processors. */
const SLOTS = 10
const SOURCE_CONNECTIONS = 10

const wanted = new Set(process.argv.slice(2))
for (const part of wanted) {
  if (!PARTS.some((known) => known === part)) {
    process.stderr.write(`there is no part "${part}": use ${PARTS.join(', ')}\n`)
    process.exit(2)
  }
}
const measures = (part: (typeof PARTS)[number]): boolean => wanted.size === 0 || wanted.has(part)
const say = (line: string): void => void process.stderr.write(`${line}\n`)

const folder = mkdtempSync(join(tmpdir(), 'scarab-bench-'))
const tasks = join(folder, 'tasks')
mkdirSync(tasks)
for (const [name, text] of Object.entries({ one: ONE_ROW_TASK, million: MILLION_TASK, flights: FLIGHTS_TASK }))
  writeFileSync(join(tasks, `${name}.sql`), text)

say('a PostgreSQL with a million rows …')
const source = await startSource()
const config = join(folder, 'node.toml')
writeFileSync(
  config,
  `[node]\nslots = ${SLOTS}\nallowed_folders = [${JSON.stringify(tasks)}, ${JSON.stringify(dirname(FLIGHTS))}]\n` +
    `[db.bank]\ntype = "postgres"\ndsn = "${source.dsn()}"\nmax_active = ${SOURCE_CONNECTIONS}\n`,
)

const start = async (page: boolean): Promise<{ system: System; seconds: number }> => {
  const from = performance.now()
  const system = await startSystem({ state: join(folder, 'state'), tasks: [tasks], config, drainSeconds: 2, page, say })
  await system.ready()
  return { system, seconds: (performance.now() - from) / 1_000 }
}

const figures: Figure[] = []
const measured = (more: Figure[]): void => {
  figures.push(...more)
  for (const { what, measured: value } of more) say(`  ${what}: ${value}`)
}
let running: System | null = null
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    // PostgreSQL goes with this process.
    running?.kill()
    process.exit(1)
  })
try {
  say('starting twice …')
  const cold = await start(true)
  running = cold.system
  await running.stop()
  const warm = await start(true)
  running = warm.system
  measured([
    {
      what: 'time to ready, second start',
      measured: `${warm.seconds.toFixed(1)} s`,
      aim: '≤ 3 s',
      beside: `first start on an empty state folder ${cold.seconds.toFixed(1)} s`,
      good: warm.seconds <= 3,
    },
  ])
  const token = await running.token(TENANT)
  if (measures('small')) {
    say('one-row reports …')
    measured(await measureSmallJobs(running, token, source.port, folder))
  }
  if (measures('large')) {
    say('a million rows …')
    measured(await measureLargeJob(running.origin, token, source.port))
  }
  if (measures('slices')) {
    say('slices …')
    measured(await measureSlices(running.origin, token))
  }
  if (measures('ledger')) {
    say('many clients …')
    const cpu = await measureLoad(running, measured)
    say('rows of a job …')
    measured(await measureRows(cpu))
    say('a lane of many waiting jobs …')
    measured(measureWaiting(join(folder, 'lanes'), TenantId.parse(TENANT)))
    say('a ledger of many finished jobs …')
    const sizes = wanted.has('ledger') ? [100_000, 1_000_000] : [100_000]
    const finished = process.env.SCARAB_BENCH_FINISHED
    measured(
      await measureLedger(
        join(folder, 'ledgers'),
        TenantId.parse(TENANT),
        finished === undefined ? sizes : finished.split(',').map(Number).filter(Boolean),
      ),
    )
  }
} finally {
  if (figures.length > 0) {
    const [cpu] = cpus()
    process.stdout.write(`\n${markdown(figures)}\n\n`)
    process.stdout.write(
      `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}, PostgreSQL 18 with fsync on the same machine\n`,
    )
  }
  await running?.stop()
  await source.stop()
  rmSync(folder, { recursive: true, force: true })
}
