import type { JobRow } from '../../edge/ledger/jobs.ts'
import type { InnerState } from '../../edge/ledger/states.ts'

/** A job as the model sees it: only what decides about its life. */
export interface ModelJob {
  id: string
  state: InnerState
  attempt: number
  tries: number
  /** Of the node that holds it, or last held it to its end. */
  session: string | null
  /** The job whose execution it shares. */
  leader: string | null
  source: string | null
  twin: string | null
  cancelling: boolean
  /** When its query was first begun. */
  begun: number | null
  /** A result that it wrote is there. */
  wrote: boolean
  lane: string
  priority: number
  weight: number
  signature: number
  most: number
  created: number
  finished: number | null
  offerBy: number | null
  due: number | null
  expires: number | null
  expired: boolean
  /** Its last try was lost. */
  spent: boolean
  alias: string | null
  deleted: boolean
  retried: boolean
  /** A step of a group, or a run of a schedule: followed, not foreseen. */
  loose: boolean
}

export type Verdict = 'ok' | 'fenced' | 'cancelled'

export const isOver = (state: InnerState): boolean => state === 'succeeded' || state === 'failed' || state === 'cancelled'
const HELD: readonly InnerState[] = ['offered', 'leased', 'running', 'carrying']
export const isHeld = (job: Pick<ModelJob, 'state'>): boolean => HELD.includes(job.state)
const RETRIED = ['lost', 'overloaded']

/** What a ledger's jobs should be, in as few words as possible. It keeps no events, no timers and no lanes. */
export class Model {
  readonly jobs = new Map<string, ModelJob>()

  get(id: string): ModelJob {
    const job = this.jobs.get(id)
    if (!job) throw new Error(`the model does not know job ${id}`)
    return job
  }

  all(): ModelJob[] {
    return [...this.jobs.values()]
  }

  copy(): Model {
    const copy = new Model()
    for (const [id, job] of this.jobs) copy.jobs.set(id, { ...job })
    return copy
  }

  /** A job that the model does not foresee is as the ledger has it. */
  adopt(row: JobRow, signature: number): void {
    this.jobs.set(row.id, {
      id: row.id,
      state: row.state,
      attempt: row.attempt,
      tries: row.tries,
      session: row.session,
      leader: row.coalesced_with,
      source: row.reused_from,
      twin: row.sameness,
      cancelling: row.cancel_at !== null,
      begun: row.started_at,
      wrote: false,
      lane: row.queue,
      priority: row.priority,
      weight: row.weight,
      signature,
      most: row.max_tries ?? 11,
      created: row.created_at,
      finished: row.finished_at,
      offerBy: row.offer_by,
      due: row.due_at,
      expires: row.expires_at,
      expired: row.error_code === 'expired',
      spent: row.state === 'failed' && (row.error_class === 'lost' || row.error_class === 'overloaded'),
      alias: row.alias,
      deleted: row.deleted_at !== null,
      retried: row.retried_as !== null,
      loose: true,
    })
  }

  followers(id: string): ModelJob[] {
    return this.all().filter((job) => job.leader === id && job.state === 'joined')
  }

  /** Those who read what this job wrote. */
  pointers(id: string): ModelJob[] {
    return this.all().filter((job) => job.state === 'succeeded' && !job.deleted && (job.source ?? job.leader ?? job.id) === id)
  }

  // ---- coming ------------------------------------------------------------------------------------------------------

  /** The job that one like this may follow: the newest. */
  leaderOf(twin: string, since: number): ModelJob | undefined {
    return this.all().findLast(
      (job) =>
        job.twin === twin &&
        job.leader === null &&
        !job.cancelling &&
        (job.begun === null || job.begun >= since) &&
        (['waiting', 'offered', 'leased', 'running'].includes(job.state) || (job.state === 'scheduled' && job.tries > 0)),
    )
  }

  /** Those that wait for what this job does, in better places than its own. */
  standing(id: string): ModelJob[] {
    return this.all().filter((job) => job.leader === id && job.state === 'waiting')
  }

  private isBetter(job: ModelJob, leader: ModelJob): boolean {
    return ![leader, ...this.standing(leader.id)].some(({ lane, priority }) => lane === job.lane && priority >= job.priority)
  }

  /** It may begin: it waits, or follows another. */
  begin(job: ModelJob, since: number): void {
    const leader = job.twin === null ? undefined : this.leaderOf(job.twin, since)
    job.state = leader && !(leader.state === 'waiting' && this.isBetter(job, leader)) ? 'joined' : 'waiting'
    job.leader = leader?.id ?? null
    job.due = null
  }

  // ---- leases ------------------------------------------------------------------------------------------------------

  /** What a node that knows the task by `signature` gets: by priority, then by age, until its slots are filled. */
  nextOf(lane: string, want: number, most: number, fits: (job: ModelJob) => boolean): ModelJob[] {
    const waiting = this.all()
      .filter((job) => job.state === 'waiting' && job.lane === lane && fits(job))
      .toSorted((a, b) => b.priority - a.priority || (a.id < b.id ? -1 : 1))
    const taken: ModelJob[] = []
    let left = want
    for (const job of waiting) {
      if (left <= 0 || taken.length >= most) break
      left -= job.weight
      taken.push(job)
    }
    return taken
  }

  offered(job: ModelJob, session: string, by: number): void {
    job.state = 'offered'
    job.attempt += 1
    job.session = session
    job.offerBy = by
    // All that share its execution wait for it now.
    const others = this.standing(job.leader ?? job.id)
    if (job.leader !== null && this.get(job.leader).state === 'waiting') others.push(this.get(job.leader))
    job.leader = null
    for (const other of others) {
      other.state = 'joined'
      other.leader = job.id
    }
  }

  private isHolder(job: ModelJob, attempt: number, session: string): boolean {
    return job.attempt === attempt && job.session === session
  }

  private late(job: ModelJob): Verdict {
    return job.state === 'cancelled' ? 'cancelled' : 'fenced'
  }

  accept(job: ModelJob, attempt: number, session: string, begins: boolean, now: number): Verdict {
    if (!this.isHolder(job, attempt, session) || !isHeld(job)) return this.late(job)
    if (job.state === 'offered') {
      job.state = 'leased'
      job.offerBy = null
    }
    if (begins) this.begins(job, now)
    return 'ok'
  }

  start(job: ModelJob, attempt: number, session: string, now: number): Verdict {
    if (!this.isHolder(job, attempt, session) || !isHeld(job) || job.state === 'offered') return this.late(job)
    this.begins(job, now)
    return 'ok'
  }

  private begins(job: ModelJob, now: number): void {
    if (job.state !== 'leased') return
    job.state = 'running'
    job.tries += 1
    job.begun ??= now
  }

  complete(job: ModelJob, attempt: number, session: string, now: number): Verdict {
    if (!this.isHolder(job, attempt, session)) return this.late(job)
    if (job.state === 'succeeded' || (job.state === 'cancelled' && job.wrote)) return 'ok'
    if (job.state === 'leased' || job.state === 'running') this.ends(job, 'succeeded', now)
    else if (job.state === 'carrying') {
      // What nobody waits for any more is not written.
      if (this.followers(job.id).length === 0) {
        this.stop(job, now)
        return 'cancelled'
      }
      this.ends(job, 'cancelled', now)
    } else return this.late(job)
    job.wrote = true
    return 'ok'
  }

  fail(job: ModelJob, attempt: number, session: string, of: string, now: number): Verdict {
    if (!this.isHolder(job, attempt, session)) return this.late(job)
    if (job.state === 'failed') return 'ok'
    if (!isHeld(job)) return this.late(job)
    if (of === 'cancelled' && job.cancelling) this.stop(job, now)
    else if (RETRIED.includes(of)) this.lose(job, now)
    else this.ends(job, job.state === 'carrying' ? 'cancelled' : 'failed', now)
    return 'ok'
  }

  handBack(job: ModelJob, attempt: number, session: string, now: number): Verdict {
    if (!this.isHolder(job, attempt, session) || !isHeld(job)) return this.late(job)
    if (job.cancelling) this.stop(job, now)
    else {
      if (job.state === 'running') job.tries -= 1
      this.waits(job)
    }
    return 'ok'
  }

  stopped(job: ModelJob, attempt: number, session: string, now: number): Verdict {
    if (!this.isHolder(job, attempt, session) || !job.cancelling) return this.late(job)
    if (job.state === 'cancelled') return 'ok'
    if (!isHeld(job)) return this.late(job)
    this.stop(job, now)
    return 'ok'
  }

  /** The attempt is gone, by no fault of the job's. */
  lose(job: ModelJob, now: number): void {
    if (job.cancelling) this.stop(job, now)
    else if (job.state !== 'running') this.waits(job)
    else if (job.tries >= job.most) {
      this.ends(job, 'failed', now)
      job.session = null
      job.spent = true
    } else {
      job.state = 'scheduled'
      job.session = null
    }
  }

  /** The session is over. */
  end(session: string, now: number): void {
    for (const job of this.heldBy(session)) {
      if (job.state === 'offered') this.waits(job)
      else this.lose(job, now)
    }
  }

  heldBy(session: string): ModelJob[] {
    return this.all().filter((job) => job.session === session && isHeld(job))
  }

  resume(session: string, claimed: ReadonlyMap<string, boolean>, now: number): void {
    for (const job of this.heldBy(session)) {
      const running = claimed.get(job.id)
      if (running !== undefined) {
        if (job.state === 'offered') {
          job.state = 'leased'
          job.offerBy = null
        }
        if (running) this.begins(job, now)
      } else if (job.cancelling) this.stop(job, now)
      else {
        if (job.state === 'running') job.tries -= 1
        this.waits(job)
      }
    }
  }

  waits(job: ModelJob): void {
    job.state = 'waiting'
    job.session = null
    job.offerBy = null
    job.due = null
  }

  stop(job: ModelJob, now: number): void {
    this.ends(job, 'cancelled', now)
    job.session = null
  }

  ends(job: ModelJob, state: 'succeeded' | 'failed' | 'cancelled', now: number): void {
    job.state = state
    job.finished ??= now
    job.offerBy = null
    job.due = null
  }

  // ---- leaving -----------------------------------------------------------------------------------------------------

  cancel(job: ModelJob, now: number): void {
    if (job.cancelling || isOver(job.state) || job.state === 'carrying') return
    job.cancelling = true
    if (job.state === 'leased' || job.state === 'running') {
      if (this.followers(job.id).length === 0) return
      job.state = 'carrying'
      job.finished = now
      return
    }
    if (job.state !== 'offered') job.session = null
    this.ends(job, 'cancelled', now)
  }

  expire(job: ModelJob, now: number): void {
    if (job.finished !== null || job.begun !== null || job.cancelling || job.expires === null || job.expires > now) return
    this.ends(job, 'failed', now)
    job.expired = true
    job.session = null
    this.settleOne(job, now)
  }

  /** Those that share an execution end with it, or one of them takes it over; then whoever has a better place stands in it. */
  settle(now: number): void {
    for (let open = true; open; ) open = this.all().some((leader) => this.settleOne(leader, now))
    for (const leader of this.all())
      if (leader.state === 'waiting' && leader.leader === null)
        for (const job of this.followers(leader.id).toSorted((a, b) => b.priority - a.priority || (a.id < b.id ? -1 : 1)))
          if (this.isBetter(job, leader)) job.state = 'waiting'
  }

  private settleOne(leader: ModelJob, now: number): boolean {
    const all = isOver(leader.state) ? [...this.standing(leader.id), ...this.followers(leader.id)] : []
    if (all.length === 0) return false
    const end = (jobs: ModelJob[], state: 'succeeded' | 'failed'): void => {
      for (const job of jobs) this.ends(job, state, now)
    }
    if (leader.state === 'succeeded' || leader.wrote) {
      for (const job of all) job.leader = leader.state === 'succeeded' ? (leader.leader ?? leader.id) : leader.id
      end(all, 'succeeded')
    } else if (leader.state === 'failed' && !leader.expired) {
      // Whoever has more tries than the one whose last was lost goes on with them.
      const tries = Math.max(leader.tries, leader.leader === null ? 0 : this.get(leader.leader).tries)
      const more = leader.spent ? all.filter(({ most }) => tries < most) : []
      const others = all.filter((job) => !more.includes(job))
      end(others, 'failed')
      for (const job of others) job.spent = leader.spent
      this.promote(leader, more, tries)
    } else this.promote(leader, all, 0)
    return true
  }

  private promote(leader: ModelJob, jobs: ModelJob[], tries: number): void {
    const known = leader.leader === null ? undefined : this.get(leader.leader)
    const heir = known && !isOver(known.state) ? known : jobs[0]
    if (!heir) return
    if (heir !== known) {
      this.waits(heir)
      heir.leader = null
      heir.tries = Math.max(heir.tries, tries)
    }
    for (const job of jobs) if (job !== heir) job.leader = heir.id
  }
}
