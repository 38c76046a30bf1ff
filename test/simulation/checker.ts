import { mostAhead } from '../../compute/agent/core.ts'
import { decodePage, type MovedJob } from '../../edge/ledger/pages.ts'
import { type INNER_STATES, isEnded } from '../../edge/ledger/states.ts'
import type { Clients } from './client.ts'
import type { EngineRun, SimulatedNode } from './node.ts'
import { familiesOf, groupsOf, openGroups, pointersOf, writerOf } from './sharing.ts'
import { timesOf } from './timekeepers.ts'
import type { Traced } from './trace.ts'
import type { World } from './world.ts'

export interface FinalJob {
  id: string
  state: (typeof INNER_STATES)[number]
  publication: string
  attempt: number
  tries: number
  seq: number
  rows: number | null
  args: string
  family: string
  queue: string
  node: string | null
  cancel_at: number | null
  cancel_outcome: string | null
  finished_at: number | null
  deleted_at: number | null
  started_at: number | null
  error_code: string | null
  eta: number | null
  expires_at: number | null
  max_tries: number | null
  schedule: string | null
  coalesced_with: string | null
  reused_from: string | null
}
interface FinalEvent {
  job: string
  seq: number
  type: string
  state: string
  at: number
  body: string
}

const jobsOf = (world: World, tenant: string): FinalJob[] => {
  const place = world.places.get(`LEDGER ${tenant}`)
  if (!place?.instance && !hasTables(world, tenant)) return []
  const here = place?.database.all<FinalJob>('SELECT * FROM jobs ORDER BY id') ?? []
  const known = new Set(here.map(({ id }) => id))
  // What came back counts as it is in the database.
  return [...here, ...movedOf(world, tenant).flatMap(({ row }) => (known.has(row.id) ? [] : [row]))]
}

/** Jobs that have moved to object storage, by the pages that the ledger names. */
const movedOf = (world: World, tenant: string): MovedJob[] =>
  world.places
    .get(`LEDGER ${tenant}`)
    ?.database.all<{ key: string }>('SELECT key FROM pages ORDER BY last')
    .flatMap(({ key }) => {
      const stored = world.bucket.objects.get(key)
      if (!stored) throw new Error(`the page ${key} is named, and not in the bucket`)
      return decodePage(new TextDecoder().decode(stored.bytes))
    }) ?? []

/** Each event once, in order: those of the database, and those of jobs that are not in it any more. */
const eventsOf = (world: World, tenant: string): FinalEvent[] => {
  const { database } = world.place('LEDGER', tenant)
  const here = new Set(database.all<{ id: string }>('SELECT id FROM jobs').map(({ id }) => id))
  return [
    ...database.all<FinalEvent>('SELECT job, seq, type, state, at, body FROM events ORDER BY job, seq'),
    ...movedOf(world, tenant).flatMap(({ row, events }) => (here.has(row.id) ? [] : events)),
  ]
}

/** Pages do not overlap, and object storage holds those that are named and no others. */
const pagesOf = (world: World, tenant: string): string[] => {
  const { database } = world.place('LEDGER', tenant)
  const pages = database.all<{ first: string; last: string; jobs: number; key: string }>(
    'SELECT first, last, jobs, key FROM pages ORDER BY last',
  )
  const litter = database.all<{ key: string }>('SELECT key FROM litter').map(({ key }) => key)
  const known = new Set([...pages.map(({ key }) => key), ...litter])
  return [
    ...pages.flatMap(({ first, last }, index) =>
      first > (pages[index - 1]?.last ?? '') && first <= last ? [] : [`pages: ${first} to ${last} overlaps`],
    ),
    ...[...world.bucket.objects.keys()].flatMap((key) =>
      key.startsWith(`t/${tenant}/_jobs/`) && !known.has(key) ? [`pages: the object ${key} is forgotten`] : [],
    ),
  ]
}
const hasTables = (world: World, tenant: string): boolean =>
  (world.places.get(`LEDGER ${tenant}`)?.database.all(`SELECT name FROM sqlite_master WHERE name = 'jobs'`).length ?? 0) > 0

/** What has not come to its end yet; empty when nothing is left to do. */
export const stuck = (world: World, tenants: readonly string[]): string[] => {
  const left: string[] = []
  for (const tenant of tenants) {
    const jobs = jobsOf(world, tenant)
    const read = pointersOf(jobs)
    if (hasTables(world, tenant)) left.push(...openGroups(world, tenant))
    for (const job of jobs) {
      if (!isEnded(job.state)) left.push(`${tenant} ${job.id} is ${job.state} (attempt ${job.attempt}, ${job.queue}, ${job.node})`)
      // What a deleted job says of another's result is not told any more.
      else if (writerOf(job) !== job.id && job.deleted_at !== null) continue
      else if (job.publication === 'pending' || (!read.has(writerOf(job)) && job.publication === 'published'))
        left.push(`${tenant} ${job.id} is ${job.state}, publication ${job.publication}, deleted ${job.deleted_at !== null}`)
    }
  }
  return left
}

/** Judges a history by what was written down about it and by what is left in the databases. Answers every violation. */
export const check = async (
  world: World,
  tenants: readonly string[],
  clients: Clients,
  nodes: readonly SimulatedNode[],
  runs: readonly EngineRun[],
): Promise<string[]> => {
  const wrong: string[] = []
  for (const tenant of tenants) {
    if (!hasTables(world, tenant)) continue
    const jobs = new Map(jobsOf(world, tenant).map((job) => [job.id, job]))
    const database = world.place('LEDGER', tenant).database
    const trace = database.all<Traced>('SELECT * FROM trace ORDER BY n')
    const events = eventsOf(world, tenant)
    wrong.push(...pagesOf(world, tenant))
    wrong.push(...lifeOf(trace), ...completionsOf(world, tenant, trace), ...uploadsOf(world, tenant, trace))
    wrong.push(...tenantsOf(tenant, runs, nodes), ...numbersOf(jobs, events))
    wrong.push(...promisesOf(tenant, jobs, clients), ...readersOf(tenant, events, clients), ...onceOf(tenant, jobs, clients))
    wrong.push(...cancelsOf(tenant, trace, runs), ...(await familiesOf(world, tenant, jobs)), ...timesOf(jobs.values()))
    wrong.push(...groupsOf(world, tenant, jobs))
  }
  return wrong
}

/** I1, and the part of I2 that the rows themselves show. */
const lifeOf = (trace: readonly Traced[]): string[] => {
  const wrong: string[] = []
  const ended = new Map<string, string>()
  const aliases = new Map<string, Set<string>>()
  for (const row of trace) {
    const { job, before, after } = row
    const end = ended.get(job)
    if (end !== undefined && after !== end) wrong.push(`I1: ${job} was ${end} and became ${after}`)
    if (after === 'succeeded' || after === 'failed' || after === 'cancelled') ended.set(job, after)
    if (row.attempt_before !== null && row.attempt !== row.attempt_before) {
      if (row.attempt !== row.attempt_before + 1) wrong.push(`I2: the attempt of ${job} went from ${row.attempt_before} to ${row.attempt}`)
      if (before !== 'waiting' || after !== 'offered') wrong.push(`I2: ${job} got attempt ${row.attempt} when it was ${before}`)
    } else if (after === 'offered' && before !== 'offered') wrong.push(`I2: ${job} was offered without a new attempt`)
    // One holder at a time: a job does not change hands but by waiting.
    if (row.session !== null && row.session_before !== null && row.session !== row.session_before)
      wrong.push(`I2: ${job} went from ${row.session_before} to ${row.session} while it was ${before}`)
    if (row.publication_before === 'withdrawn' && row.publication !== 'withdrawn')
      wrong.push(`I4: ${job} was withdrawn and became ${row.publication}`)
    if (row.tries < 0) wrong.push(`tries of ${job} are ${row.tries}`)
    if (row.alias !== null) {
      const live = aliases.get(row.alias) ?? new Set()
      aliases.set(row.alias, live)
      // One that came back from object storage has ended.
      if (before === null && !isEnded(after as FinalJob['state']) && live.size > 0)
        wrong.push(`the alias ${row.alias} was given to ${job} while ${[...live].join()} lived`)
      if (after === 'succeeded' || after === 'failed' || after === 'cancelled' || after === 'carrying') live.delete(job)
      else live.add(job)
    }
  }
  return wrong
}

/** I2: who was told that it had won, did hold the current attempt, and nobody else was told so. */
const completionsOf = (world: World, tenant: string, trace: readonly Traced[]): string[] => {
  const wrong: string[] = []
  const won = new Map<string, string>()
  for (const { job, before, after, attempt, session, publication } of trace) {
    // A job that others have joined may have been left by its submitter: its attempt wins for them.
    const carried = before === 'carrying' && after === 'cancelled' && publication === 'pending'
    if (carried || ((before === 'leased' || before === 'running') && after === 'succeeded')) won.set(job, `${attempt} ${session}`)
  }
  const said = new Map<string, string>()
  const asked = new Set<string>()
  for (const { kind, name, method, args, answer } of world.called) {
    if (kind !== 'LEDGER' || name !== tenant || method !== 'complete') continue
    const [holder, items] = args as [{ session: string }, { job: string; attempt: number }[]]
    const verdicts = (answer as { verdicts: string[] } | undefined)?.verdicts ?? []
    items.forEach(({ job, attempt }, index) => {
      const who = `${attempt} ${holder.session}`
      asked.add(`${job} ${who}`)
      if (verdicts[index] !== 'ok') return
      if ((said.get(job) ?? who) !== who) wrong.push(`I2: both ${said.get(job)} and ${who} completed ${job}`)
      said.set(job, who)
      if (won.get(job) !== who) wrong.push(`I2: ${who} was told it had completed ${job}, the ledger says ${won.get(job)}`)
    })
  }
  for (const [job, who] of won) if (!asked.has(`${job} ${who}`)) wrong.push(`I2: ${job} succeeded by ${who}, whom nobody heard of`)
  return wrong
}

/** I2: only who holds the current attempt at that moment may write its objects. */
const uploadsOf = (world: World, tenant: string, trace: readonly Traced[]): string[] =>
  world.called.flatMap(({ kind, name, method, args, answer, at }) => {
    if (kind !== 'LEDGER' || name !== tenant || method !== 'holds' || answer !== true) return []
    const [session, job, attempt] = args as [string, string, number]
    const rows = trace.filter((row) => row.job === job)
    const held = rows.some(
      (row, n) =>
        (row.after === 'leased' || row.after === 'running' || row.after === 'carrying') &&
        row.attempt === attempt &&
        row.session === session &&
        row.at <= at &&
        (rows[n + 1]?.at ?? Number.POSITIVE_INFINITY) >= at,
    )
    return held ? [] : [`I2: ${session} may upload for attempt ${attempt} of ${job}, which it does not hold`]
  })

/** I6: a node runs only what its tenants have asked for. */
const tenantsOf = (tenant: string, runs: readonly EngineRun[], nodes: readonly SimulatedNode[]): string[] =>
  runs.flatMap((run) => {
    const tenants = nodes.find(({ settings }) => settings.name === run.node)?.settings.tenants ?? []
    return run.tenant !== tenant || tenants.includes('*') || tenants.includes(tenant)
      ? []
      : [`I6: ${run.node} serves ${tenants.join()} and runs ${run.job} of ${tenant}`]
  })

/** I9, the half of the writer: 1, 2, 3 … and the row's counter is the last one. */
const numbersOf = (jobs: ReadonlyMap<string, FinalJob>, events: readonly FinalEvent[]): string[] => {
  const wrong: string[] = []
  const last = new Map<string, FinalEvent>()
  const states = new Map<string, string>()
  for (const event of events) {
    if (event.seq !== (last.get(event.job)?.seq ?? 0) + 1)
      wrong.push(`I9: ${event.job} has event ${event.seq} after ${last.get(event.job)?.seq ?? 0}`)
    last.set(event.job, event)
    states.set(event.job, event.state)
  }
  for (const { id, seq, state } of jobs.values()) {
    if (last.get(id)?.seq !== seq) wrong.push(`I9: ${id} counts ${seq} events and has ${last.get(id)?.seq}`)
    if (isEnded(state) && states.get(id) !== state) wrong.push(`I9: ${id} is ${state}, its last event says ${states.get(id)}`)
  }
  return wrong
}

/** I3: what a client was told is so, whatever happened after. */
const promisesOf = (tenant: string, jobs: ReadonlyMap<string, FinalJob>, clients: Clients): string[] =>
  clients.promised.flatMap((promise) => {
    if (promise.tenant !== tenant) return []
    const job = jobs.get(promise.job)
    if (!job) return [`I3: ${promise.job} was ${promise.what}, and is not there`]
    const kept = { taken: true, cancelled: job.state === 'cancelled', asked: job.cancel_at !== null, removed: job.deleted_at !== null }
    return kept[promise.what] ? [] : [`I3: a client was told that ${job.id} was ${promise.what}, and it is ${job.state}`]
  })

/** I9, the half of the reader; and I3 for every event that somebody saw. */
const readersOf = (tenant: string, events: readonly FinalEvent[], clients: Clients): string[] => {
  const kept = new Map(events.map((event) => [`${event.job} ${event.seq}`, event]))
  return clients.readings.flatMap((reading) => {
    if (reading.tenant !== tenant) return []
    const wrong = reading.faults.map((fault) => `I9: a reader of ${reading.job} ${fault}`)
    for (const event of reading.events) {
      const same = kept.get(`${event.job} ${event.seq}`)
      if (!same || same.state !== event.state || same.type !== event.type)
        wrong.push(`I3: event ${event.seq} of ${event.job} was seen, and is not there`)
    }
    return wrong
  })
}

/** Exactly-once enqueue: one key, one job; and what nobody asked for is not there. */
const onceOf = (tenant: string, jobs: ReadonlyMap<string, FinalJob>, clients: Clients): string[] => {
  const bySerial = new Map<string, string[]>()
  for (const { id, args } of jobs.values()) bySerial.set(args, [...(bySerial.get(args) ?? []), id])
  return clients.submitted.flatMap((one) => {
    if (one.tenant !== tenant || one.wanted.idempotency === null) return []
    const made = bySerial.get(JSON.stringify(one.wanted.args)) ?? []
    const wrong: string[] = []
    if (made.length > 1) wrong.push(`one key made ${made.join(' and ')}`)
    if (one.jobs.size > 1) wrong.push(`one key was answered with ${[...one.jobs].join(' and ')}`)
    return wrong
  })
}

/** Nothing runs any more, so every slot is free: the pool must know it. */
export const slots = (world: World, nodes: readonly SimulatedNode[]): string[] => {
  const wrong: string[] = []
  const place = world.places.get('POOL main')
  const pool = (place?.instance?.object.rooms?.() ?? place?.database.all('SELECT node, free FROM nodes') ?? []) as {
    node: string
    free: number
  }[]
  for (const node of nodes) {
    if (!node.ready) wrong.push(`slots: ${node.settings.name} is not ready: ${node.describe()}`)
    else if (!node.idle) wrong.push(`slots: ${node.settings.name} still holds work: ${node.describe()}`)
    const free = pool.find((row) => row.node === node.settings.name)?.free ?? 0
    // An idle node takes at least as many as it has slots; the pool knows of half of them at least (isNearEnough in
    // edge/link/offers.ts). Too high a number is corrected when it is used, and at the next renewal.
    const { slots: own } = node.settings
    if (2 * free < own || free > 4 * (own + mostAhead(own)))
      wrong.push(`slots: ${node.settings.name} has ${own}, the pool believes in ${free}`)
  }
  return wrong
}

/**
 * I8: a cancel that says "confirmed" means that no engine works on the job. Of a job that a node holds, the word is that of
 * its current attempt; of any other it is the ledger's own, for every attempt there ever was.
 */
const cancelsOf = (tenant: string, trace: readonly Traced[], runs: readonly EngineRun[]): string[] =>
  trace.flatMap((row) => {
    if (row.after !== 'cancelled' || row.before === 'cancelled' || row.cancel !== 'confirmed') return []
    const held = row.before === 'leased' || row.before === 'running' || row.before === 'carrying'
    return runs.flatMap((run) =>
      run.tenant === tenant && run.job === row.job && (!held || run.attempt === row.attempt) && (run.to === null || run.to > row.at)
        ? [`I8: ${row.job} is cancelled and confirmed, attempt ${run.attempt} runs on ${run.node}`]
        : [],
    )
  })
