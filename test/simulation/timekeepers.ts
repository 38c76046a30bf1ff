import type { TenantId } from '../../edge/contract/ids.ts'
import type { NewSchedule } from '../../edge/ledger/schedules.ts'
import type { Submission } from '../../edge/ledger/submit.ts'
import type { Clients } from './client.ts'
import type { World } from './world.ts'

/** A request of the storm has arrived by then, also the second copy of one that was late; and a minute has passed. */
const LATEST_MS = 65_000

/** What a job may say of time: not before, not after, how often. */
export const someTimes = ({ chance, ambient }: World): Pick<Submission, 'eta' | 'ttl_seconds' | 'max_tries'> => ({
  eta: chance.happens(0.2) ? ambient.wallNow() + chance.pick([-1_000, 0, 50, 3_000, 20_000]) : null,
  ttl_seconds: chance.happens(0.2) ? chance.pick([1, 3, 20]) : null,
  max_tries: chance.happens(0.2) ? chance.between(1, 3) : null,
})

/** Somebody who has a task run every minute while it storms, and ends that with the storm. */
export const keepSchedule = (world: World, clients: Clients, tenant: TenantId, run: Submission): void => {
  const { chance, schedule } = world
  const wanted = {
    task: run.task,
    cron: '* * * * *',
    tz: 'UTC',
    missed: chance.pick(['skip', 'latest', 'all'] as const),
    overlap: chance.pick(['skip', 'queue', 'allow', 'cancel'] as const),
  }
  const made: NewSchedule = { task: run.task, source: 'api', wanted, run, rights: [] }
  schedule.after(chance.between(0, world.weather.storm), () => {
    world.note(`schedules every minute for ${tenant}: ${wanted.missed}, ${wanted.overlap}`)
    world.request('LEDGER', tenant, 'createSchedule', [made]).catch(() => undefined)
  })
  // The history goes on until it is over.
  clients.open++
  /** Whose answer was lost may be there all the same: looked for until there is none. */
  const end = async (): Promise<void> => {
    try {
      const { items } = (await world.request('LEDGER', tenant, 'schedules', [{ task: null, before: null, limit: 10 }])) as {
        items: { id: string }[]
      }
      for (const { id } of items) await world.request('LEDGER', tenant, 'removeSchedule', [id])
      clients.open--
    } catch {
      schedule.after(500, () => void end())
    }
  }
  schedule.after(world.weather.storm + LATEST_MS, () => void end())
}

interface Timed {
  id: string
  state: string
  tries: number
  started_at: number | null
  error_code: string | null
  eta: number | null
  expires_at: number | null
  max_tries: number | null
  schedule: string | null
}

/** What time has made of jobs: an instant of a schedule is run once, what has begun does not expire, tries have an end. */
export const timesOf = (jobs: Iterable<Timed>): string[] => {
  const wrong: string[] = []
  const instants = new Map<string, string>()
  for (const job of jobs) {
    const { id, tries, schedule, eta } = job
    if (job.error_code === 'expired' && (tries > 0 || job.started_at !== null)) wrong.push(`${id} expired after it had begun`)
    if (job.error_code === 'expired' && job.expires_at === null) wrong.push(`${id} expired without a ttl`)
    if (tries > (job.max_tries ?? 11)) wrong.push(`${id} was tried ${tries} times, it has ${job.max_tries}`)
    if (schedule === null) continue
    const instant = `${schedule} at ${eta}`
    const other = instants.get(instant)
    if (other !== undefined) wrong.push(`${other} and ${id} are both the run of ${instant}`)
    if (eta === null || eta % 60_000 !== 0) wrong.push(`${id} is a run of ${instant}`)
    instants.set(instant, id)
  }
  return wrong
}
