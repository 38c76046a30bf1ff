import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { startWorld } from '../e2e/support/world.ts'
import { firstShapes } from './databases.ts'
import { ids, objectKeys, problems, protocol, schemas } from './today.ts'

/**
 * Writes the golden files from today's code: `node test/contract/make-fixtures.ts`. That was done once, for version 1. Doing
 * it again throws away what readers, nodes and stored databases rely on; it is right only before a first release.
 */
const GOLDEN = join(import.meta.dirname, 'golden')
const write = (name: string, value: unknown): void => writeFileSync(join(GOLDEN, name), `${JSON.stringify(value, null, 2)}\n`)

const TASKS = {
  'small.sql': "-- name: small\n-- db: duckdb\n-- param: n int = 3\nSELECT i AS n, 'row ' || i AS label FROM range($1) r(i) ORDER BY n\n",
  'large.sql': '-- name: large\n-- db: duckdb\nSELECT i AS n, sha256(i::VARCHAR) AS noise FROM range(3000) r(i) ORDER BY n\n',
  'days.sql':
    "-- name: days\n-- db: duckdb\n-- partition_by: run_date\nSELECT DATE '2026-01-01' + i::INT AS run_date, i AS n FROM range(3) r(i)\n",
  'broken.sql': '-- name: broken\n-- db: duckdb\n-- param: text text\nSELECT $1::INT AS n\n',
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
}
/** Which database it is, by a table that only this one has. */
const MARKS: Record<string, string> = {
  pointers: 'catalog',
  announcements: 'directory',
  outbox: 'ledger',
  ledgers: 'link',
  shares: 'pool',
  outcomes: 'table',
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

/** Lives a little on a real edge, so that the databases hold what they hold in life. */
const live = async (): Promise<string[]> => {
  const world = await startWorld({ tasks: TASKS })
  const acme = await world.as('acme')
  const jobs = [
    await acme.run('small'),
    await acme.run('small', [0]),
    await acme.run('large'),
    await acme.run('days'),
    await acme.run('broken', ['no number']),
  ]
  await acme.submit('small', { alias: 'nightly', queue: 'night', args: [1] }, { 'idempotency-key': 'one' })
  for (const job of jobs) if (job.state === 'succeeded') await acme.published(job.id)
  await acme.slice(jobs[0]?.id ?? '', { where: [{ col: 'n', op: '>', value: 0 }] })
  const doomed = await acme.run('small', [2])
  await acme.published(doomed.id)
  await acme.ask(`/v1/jobs/${doomed.id}`, { method: 'DELETE' })
  const table = '/iceberg/v1/acme/namespaces/reports/tables/small'
  while (!(await (await acme.ask(table)).text()).includes('"operation":"delete"')) await pause()
  const stopped = await acme.submit('slow', { alias: 'stopped' })
  await acme.ask(`/v1/jobs/${stopped.id}/cancel`, { method: 'POST' })
  await acme.ended(stopped.id)
  const running = await acme.submit('slow', { alias: 'running' })
  while (!(await (await acme.ask(`/v1/jobs/${running.id}`)).text()).includes('"state":"running"')) await pause()
  await acme.submit('small', { alias: 'waiting', queue: 'later' })
  // Without a drain: what was under way is under way in the databases.
  world.system.kill()
  // At once: the edge is about to be started again.
  const folder = join(world.folder, 'copy')
  cpSync(join(world.system.state, 'v3'), folder, { recursive: true })
  const found = new Map<string, number>()
  mkdirSync(join(GOLDEN, 'databases'), { recursive: true })
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.sqlite'))) {
    const database = new DatabaseSync(join(folder, name))
    const tables = database
      .prepare('SELECT name FROM sqlite_master')
      .all()
      .map((row) => String(row.name))
    const kind = tables.map((table) => MARKS[table]).find((mark) => mark !== undefined)
    const size = kind === 'table' ? Number(database.prepare('SELECT count(*) AS n FROM results').get()?.n) : tables.length
    if (kind !== undefined && size > (found.get(kind) ?? 0)) {
      const path = join(GOLDEN, 'databases', `${kind}.v1.sqlite`)
      rmSync(path, { force: true })
      for (const table of tables.filter((one) => one.startsWith('_cf_'))) database.exec(`DROP TABLE IF EXISTS ${table}`)
      // Small pages: most tables have few rows.
      database.exec('PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024')
      database.prepare('VACUUM INTO ?').run(path)
      found.set(kind, size)
    }
    database.close()
  }
  await world.end()
  return [...found.keys()].sort()
}

mkdirSync(GOLDEN, { recursive: true })
write('ids.json', ids())
write('keys.json', objectKeys())
write('protocol.json', protocol())
write('problems.json', problems())
writeFileSync(
  join(GOLDEN, 'schemas.json'),
  `{\n${Object.entries(schemas())
    .map(([name, schema]) => `${JSON.stringify(name)}: ${JSON.stringify(schema)}`)
    .join(',\n')}\n}\n`,
)
write('databases.json', firstShapes())
process.stdout.write(`databases: ${(await live()).join(', ')}\n`)
process.exit(0)
