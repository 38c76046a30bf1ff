import { expect, test } from 'vitest'
import type { ResultSchema } from '../contract/columns.ts'
import type { JobId } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import { readAvroFile } from '../iceberg/avro-file.ts'
import { keyOf } from '../iceberg/location.ts'
import { listedManifests } from '../iceberg/manifest-list.ts'
import { parseMetadata } from '../iceberg/metadata.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { Store } from '../storage/store.ts'
import { RETRY_CAP_MS, TableCore } from './core.ts'
import { type FakeOutside, fakeOutside } from './fake-outside.ts'
import { fakeFile, family, jobNumber, publication, tenant } from './fake-results.ts'
import { HOLD_MS } from './garbage.ts'
import { drive, type TableOutside } from './perform.ts'
import { readTable } from './read-table.ts'

/**
 * Random histories of one family: results come, come again, come late and twice from two attempts, are withdrawn at any
 * time; requests fail before they work or lose their answer after; the process dies at any request or fault point and
 * starts again. Whatever happens: I3 and I4 hold.
 */
const HISTORIES = Number(process.env.SCARAB_TABLE_HISTORIES ?? 200)

const generator = (seed: number): ((below: number) => number) => {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** A database that a dead process can no longer touch. */
const mortal = (store: Store, alive: () => boolean): Store => {
  const check = (): void => {
    if (!alive()) throw new Error('this process is dead')
  }
  return {
    all: (query, ...values) => {
      check()
      return store.all(query, ...values)
    },
    run: (query, ...values) => {
      check()
      return store.run(query, ...values)
    },
    transaction: (body) => {
      check()
      return store.transaction(body)
    },
  }
}

/** The outside as one process sees it: once it is dead, its requests go nowhere and no answer reaches it. */
const until = (outside: TableOutside, alive: () => boolean): TableOutside => {
  const never = new Promise<never>(() => {})
  const guard = async <T>(request: () => Promise<T>): Promise<T> => {
    if (!alive()) return never
    const answer = await request().catch((fault: unknown) => {
      if (alive()) throw fault
      return never
    })
    return alive() ? answer : never
  }
  const { objects, catalog } = outside
  return {
    objects: {
      get: (key) => guard(() => objects.get(key)),
      put: (key, bytes) => guard(() => objects.put(key, bytes)),
      delete: (keys) => guard(() => objects.delete(keys)),
      list: (prefix) => guard(() => objects.list(prefix)),
    },
    catalog: { pointer: (name) => guard(() => catalog.pointer(name)), commit: (move) => guard(() => catalog.commit(move)) },
    tellLedger: (owner, items) => guard(() => outside.tellLedger(owner, items)),
    tellDirectory: (table) => guard(() => outside.tellDirectory(table)),
    log: outside.log,
  }
}

/** Metadata objects that neither the table nor any of its kept snapshots names. */
const strayMetadata = async (outside: FakeOutside): Promise<string[]> => {
  const location = outside.pointers.pointer(family)
  const named = new Set<string>(location === null ? [] : [keyOf(location)])
  for (const key of [...named]) {
    const metadata = parseMetadata(new TextDecoder().decode(outside.bytes.get(key)))
    for (const old of metadata['metadata-log']) named.add(keyOf(old['metadata-file']))
    for (const snapshot of metadata.snapshots) {
      const list = keyOf(snapshot['manifest-list'])
      named.add(list)
      for (const { path } of listedManifests(await readAvroFile(outside.bytes.get(list) ?? new Uint8Array()))) named.add(keyOf(path))
    }
  }
  for (const key of named) expect(outside.bytes.has(key), `${key} is named and missing`).toBe(true)
  return [...outside.bytes.keys()].filter((key) => key.includes('/metadata/') && !named.has(key))
}

interface History {
  /** Snapshots in which a job was appended, over all commits that ever became visible. */
  appendedIn: Map<string, Set<string>>
  withdrawn: Set<JobId>
  published: Set<JobId>
  crashes: number
  failures: number
  commits: number
}

const play = async (seed: number): Promise<History> => {
  const random = generator(seed)
  const store = nodeStore()
  let now = 1_700_000_000_000
  const outside = fakeOutside(() => now, nodeStore())
  const history: History = { appendedIn: new Map(), withdrawn: new Set(), published: new Set(), crashes: 0, failures: 0, commits: 0 }
  let generation = 0
  let nextId = 0x1234_5678_9abc_def0n
  let core: TableCore
  let died: () => void = () => {}
  let peaceful = false

  const start = (): TableCore => {
    const mine = ++generation
    return new TableCore({
      store: mortal(store, () => mine === generation),
      clock: () => now,
      randomId: () => nextId++,
      uuid: () => '00000000-0000-4000-8000-000000000001',
      bucket: 'lake',
    })
  }
  /** At a request or fault point: nothing, a failure, or the end of the process. */
  const danger = (mayFail: boolean): void | Promise<void> => {
    if (peaceful) return
    const dice = random(40)
    if (dice === 0) {
      history.crashes++
      generation++
      died()
      return new Promise(() => {})
    }
    if (dice < 4 && mayFail) {
      history.failures++
      throw new Error('request failed')
    }
  }
  outside.before = () => danger(true)
  outside.after = (request) => {
    if (request === 'commit') note()
    return danger(true)
  }
  /** What became visible by the last move of the pointer. */
  const note = (): void => {
    const location = outside.pointers.pointer(family)
    const bytes = location === null ? undefined : outside.bytes.get(location.replace('s3://lake/', ''))
    if (!bytes) return
    const metadata = parseMetadata(new TextDecoder().decode(bytes))
    const newest = metadata.snapshots.at(-1)
    if (newest?.summary.operation !== 'append') return
    history.commits++
    for (const job of (newest.summary['job-ids'] ?? '').split(',')) {
      const seen = history.appendedIn.get(job) ?? new Set()
      history.appendedIn.set(job, seen.add(String(newest['snapshot-id'])))
    }
  }
  const run = async (): Promise<void> => {
    const dead = new Promise<void>((resolve) => {
      died = resolve
    })
    const mine = generation
    const world = until(outside, () => mine === generation)
    const fault = (): void | Promise<void> => (mine === generation ? danger(false) : new Promise(() => {}))
    await Promise.race([drive(core, world, { codec: 'null', fault }).catch(() => {}), dead])
    if (mine !== generation) core = start()
  }

  core = start()
  const ensure = (wide: boolean): ResultSchema => {
    const answer = core.ensureSchema({
      tenant,
      family,
      columns: [{ name: 'x', type: wide ? 'long' : 'int' }],
      partition_by: random(3) === 0 ? ['tenant_id', 'run_date'] : null,
    })
    if (!answer.ok) throw new Error(answer.detail)
    return answer.schema
  }
  const offer = (job: JobId, attempt: number): void => {
    const schema = ensure(random(5) === 0)
    const file = fakeFile(schema, 0, random(4) === 0 ? 0 : 5)
    const inline = random(2) === 0
    const key = dataKey(tenant, family, job, attempt, 0)
    if (!inline) outside.bytes.set(key, new Uint8Array(1))
    const item = publication({ job, attempt, schema, files: [file], ...(inline ? { parquet: new Uint8Array(file.bytes) } : {}) })
    const { accepted } = core.publish([item])
    for (const one of accepted) history.published.add(one)
  }
  for (let step = 0; step < 25; step++) {
    now += random(2_000)
    const job = jobNumber(random(12))
    const action = random(10)
    if (action < 5) offer(job, 1)
    else if (action === 5) offer(job, 2)
    else if (action === 6) {
      core.withdraw(tenant, family, [job])
      history.withdrawn.add(job)
    } else if (action === 7) {
      // The process dies between two requests.
      generation++
      core = start()
      history.crashes++
    }
    await run()
  }
  // Everything works again, and time goes by: what was acknowledged must come to its end.
  peaceful = true
  for (let i = 0; i < 8; i++) {
    now += RETRY_CAP_MS * 3
    await run()
  }

  // What lost tries and expired snapshots have written goes, and nothing else.
  now += HOLD_MS
  for (let i = 0; i < 4; i++) await run()
  const stray = await strayMetadata(outside)
  expect(stray, `seed ${seed}: metadata that nothing names`).toEqual([])

  const contents = await readTable(outside.objects, outside.pointers, family)
  const live = new Map<string, number>()
  for (const { file } of contents?.live ?? []) {
    const job = file.path.split('/data/')[1]?.split('/')[0] ?? ''
    live.set(job, (live.get(job) ?? 0) + 1)
    expect(outside.bytes.has(file.path.replace('s3://lake/', '')), `seed ${seed}: ${file.path} is named and missing`).toBe(true)
  }
  const told = new Map<string, string>(outside.told.map(({ job, publication: outcome }) => [job, outcome]))
  for (const job of history.published) {
    const gone = history.withdrawn.has(job)
    expect(told.get(job), `seed ${seed}: what the ledger knows of ${job}`).toBe(gone ? 'withdrawn' : 'published')
    expect(live.get(job) ?? 0, `seed ${seed}: files of ${job}`).toBeLessThanOrEqual(gone ? 0 : 1)
    if (!gone) expect(history.appendedIn.has(job), `seed ${seed}: ${job} was appended`).toBe(true)
  }
  for (const job of history.withdrawn) expect(live.has(job), `seed ${seed}: ${job} was withdrawn`).toBe(false)
  for (const [job, snapshots] of history.appendedIn) expect(snapshots.size, `seed ${seed}: I4 for ${job}`).toBe(1)
  const summary = contents?.metadata.snapshots.at(-1)?.summary
  if (summary) {
    expect(summary['total-data-files'], `seed ${seed}`).toBe(String(contents.live.length))
    expect(summary['total-records'], `seed ${seed}`).toBe(String(contents.live.reduce((sum, { file }) => sum + file.rows, 0)))
  }
  expect(store.all('SELECT * FROM intent'), `seed ${seed}: something is still under way`).toEqual([])
  expect(store.all('SELECT * FROM outcomes'), `seed ${seed}: something was never told`).toEqual([])
  return history
}

test(`${HISTORIES} random histories with crashes, failures and lost answers keep every promise`, async () => {
  let crashes = 0
  let failures = 0
  let commits = 0
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const history = await play(seed)
    crashes += history.crashes
    failures += history.failures
    commits += history.commits
  }
  // The test would prove nothing if the dangers did not happen.
  expect(crashes).toBeGreaterThan(HISTORIES)
  expect(failures).toBeGreaterThan(HISTORIES)
  expect(commits).toBeGreaterThan(HISTORIES)
})
