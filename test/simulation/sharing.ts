import type { FinalJob } from './checker.ts'
import { metadataOf } from './families.ts'
import type { World } from './world.ts'

/** The job that wrote the result which this one points to. */
export const writerOf = (job: Pick<FinalJob, 'id' | 'state' | 'coalesced_with' | 'reused_from'>): string =>
  job.state === 'succeeded' ? (job.reused_from ?? job.coalesced_with ?? job.id) : job.id

/** Writers whose results somebody reads: by jobs that are not deleted. */
export const pointersOf = (jobs: Iterable<FinalJob>): Set<string> => {
  const read = new Set<string>()
  for (const job of jobs) if (job.state === 'succeeded' && job.deleted_at === null) read.add(writerOf(job))
  return read
}

/** I4: what the tables hold, read as any Iceberg reader would. */
export const familiesOf = async (world: World, tenant: string, jobs: ReadonlyMap<string, FinalJob>): Promise<string[]> => {
  const wrong: string[] = []
  const live = new Map<string, number>()
  const appended = new Map<string, number>()
  for (const [key] of world.places) {
    if (!key.startsWith(`TABLE ${tenant}/`)) continue
    const family = key.slice(`TABLE ${tenant}/`.length)
    const contents = await metadataOf(world, tenant, family)
    if (!contents) continue
    for (const job of contents.appended) appended.set(job, (appended.get(job) ?? 0) + 1)
    for (const { job, attempt, key: object } of contents.files) {
      live.set(job, (live.get(job) ?? 0) + 1)
      if (!world.bucket.objects.has(object)) wrong.push(`I4: the file ${object} is in the table, and not in the bucket`)
      if (jobs.get(job)?.attempt !== attempt)
        wrong.push(`I4: ${job} is in the table by attempt ${attempt}, the ledger says ${jobs.get(job)?.attempt}`)
      if (jobs.get(job)?.family !== family) wrong.push(`I4: ${job} is in ${family}, it belongs to ${jobs.get(job)?.family}`)
    }
  }
  for (const [job, times] of appended) if (times > 1) wrong.push(`I4: ${job} was appended ${times} times`)
  const read = pointersOf(jobs.values())
  for (const job of jobs.values()) {
    const writer = writerOf(job)
    const of = `${job.id} (${job.state}, deleted ${job.deleted_at !== null})`
    // A file without rows is in no table. Whoever shares a result writes none.
    const expected = writer === job.id && read.has(job.id) && job.rows !== 0 ? 1 : 0
    if ((live.get(job.id) ?? 0) !== expected) wrong.push(`I4: ${of} is in the table ${live.get(job.id) ?? 0} times, not ${expected}`)
    if (writer !== job.id) {
      const other = jobs.get(writer)
      if ((appended.get(job.id) ?? 0) > 0) wrong.push(`I4: ${of} has the result of ${writer}, and was appended`)
      if (other?.rows !== job.rows) wrong.push(`I4: ${of} says ${job.rows} rows, its writer ${writer} ${other?.rows}`)
      if (job.deleted_at === null && job.publication !== other?.publication)
        wrong.push(`I4: ${of} is ${job.publication}, its writer ${writer} is ${other?.publication}`)
      continue
    }
    const wrote = job.state === 'succeeded' || (job.state === 'cancelled' && job.publication !== 'none')
    if (!wrote && ((appended.get(job.id) ?? 0) > 0 || job.publication !== 'none')) wrong.push(`I4: ${of} is ${job.publication}`)
    if (wrote && job.publication !== (read.has(job.id) ? 'published' : 'withdrawn'))
      wrong.push(`I4: ${of} is ${job.publication}, and is ${read.has(job.id) ? '' : 'not '}read`)
    if (job.publication === 'published' && (appended.get(job.id) ?? 0) !== 1)
      wrong.push(`I4: ${of} is published, and was appended ${appended.get(job.id) ?? 0} times`)
  }
  return wrong
}

interface FinalGroup {
  id: string
  state: string
  seq: number
  finished_at: number | null
}

const groupRows = (world: World, tenant: string): FinalGroup[] =>
  world.place('LEDGER', tenant).database.all<FinalGroup>('SELECT id, state, seq, finished_at FROM groups ORDER BY id')

export const openGroups = (world: World, tenant: string): string[] =>
  groupRows(world, tenant).flatMap(({ id, state, finished_at }) => (finished_at === null ? [`${tenant} group ${id} is ${state}`] : []))

/** A group has ended when its steps have, says of them what their jobs are, and numbers its events without gaps (I9). */
export const groupsOf = (world: World, tenant: string, jobs: ReadonlyMap<string, FinalJob>): string[] => {
  const wrong: string[] = []
  const { database } = world.place('LEDGER', tenant)
  const last = new Map<string, number>()
  for (const { grp, seq } of database.all<{ grp: string; seq: number }>('SELECT grp, seq FROM group_events ORDER BY grp, seq')) {
    if (seq !== (last.get(grp) ?? 0) + 1) wrong.push(`I9: group ${grp} has event ${seq} after ${last.get(grp) ?? 0}`)
    last.set(grp, seq)
  }
  for (const { id, seq } of groupRows(world, tenant))
    if (last.get(id) !== seq) wrong.push(`I9: group ${id} counts ${seq} events and has ${last.get(id)}`)
  for (const step of database.all<{ grp: string; name: string; state: string; job: string | null }>(
    'SELECT grp, name, state, job FROM steps',
  )) {
    const job = step.job === null ? undefined : jobs.get(step.job)
    const shown = step.state === 'skipped' ? 'cancelled' : step.state
    if (job && job.state !== shown) wrong.push(`step ${step.name} of ${step.grp} is ${step.state}, its job ${job.state}`)
  }
  return wrong
}
