import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { DeadJob } from '../contract/dead.ts'
import type { Group } from '../contract/groups.ts'
import type { Family, JobId, QueueName, ResultId, SessionId, SliceHash } from '../contract/ids.ts'
import { TenantId } from '../contract/ids.ts'
import type { Job, Phase } from '../contract/jobs.ts'
import type { LedgerFigures } from '../contract/ledger.ts'
import type { Lease } from '../contract/node.ts'
import type { Queue, QueueSettings } from '../contract/queues.ts'
import type { Schedule } from '../contract/schedules.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { Alarm } from '../storage/alarm.ts'
import { migrate } from '../storage/migrate.ts'
import { objectStore } from '../storage/object-store.ts'
import { first } from '../storage/store.ts'
import { takeBatch } from './batch.ts'
import { busySlots } from './busy.ts'
import { commit, type LedgerContext, type LedgerEffect } from './context.ts'
import { type Dead, type DeadQuery, findDead, listDead, type Retried, retry } from './dead.ts'
import { Errands } from './errands.ts'
import { Gather } from './gather.ts'
import { askGroup, type GroupAnswer, type GroupDeed, groupBody, groupEnded, takeGroup, type WaitingDesk } from './groups/desk.ts'
import { stepsOf } from './groups/rows.ts'
import { type GroupQuery, listGroups } from './groups/show.ts'
import type { GroupSubmission } from './groups/submit.ts'
import { Housekeeper } from './housekeeper.ts'
import { jobIds } from './ids.ts'
import { JobDesk } from './job-desk.ts'
import { findJob } from './jobs.ts'
import { loadLanes } from './lanes.ts'
import { type Ended, LeaseDesk } from './lease-desk.ts'
import { endSession, type Holder, holds, type LeaseVerdict, type OfferAnswer, renewSession, resumeSession } from './leases.ts'
import type { ListQuery } from './listing.ts'
import { LedgerMemory } from './memory.ts'
import { MovedJobs } from './moved.ts'
import { eventNumbers } from './numbers.ts'
import { hasPack, mayPack, recordPack } from './packs.ts'
import { handOverAgain, type Outcome, publicationOutcome } from './publication.ts'
import { Publisher } from './publisher.ts'
import { listQueues, putQueue, resetQueue, showQueue } from './queues.ts'
import { type Liveness, showJob } from './read.ts'
import {
  changeSchedule,
  createSchedule,
  listSchedules,
  type NewSchedule,
  type ScheduleChange,
  type Scheduled,
  type ScheduleQuery,
  syncFileSchedules,
} from './schedules.ts'
import { LEDGER_MIGRATIONS } from './schema.ts'
import { settle } from './settle.ts'
import { rememberSlice } from './slices.ts'
import { type LookedAt, rescueStranded } from './stranded.ts'
import { type Follow, type Followed, Streams } from './streams.ts'
import { countLive, type Submission, type Submitted, submit } from './submit.ts'
import { fireTimers } from './timers.ts'
import { dropSchedule, figuresOf, type ScheduleRemoved, shownSchedule, tasksDue } from './timetable.ts'

/** One tenant's jobs, events and results. Wires the pure functions of this folder to storage, alarm, sockets and other objects. */
export class LedgerObject extends DurableObject<Env> {
  readonly #context: LedgerContext
  readonly #streams: Streams
  readonly #live = new Map<string, Liveness>()
  #liveCount: number
  readonly #looked: LookedAt = { offset: 0 }
  readonly #alarm: Alarm
  readonly #submits: Gather<Submission, Submitted>
  readonly #publisher: Publisher
  readonly #desk: WaitingDesk
  readonly #errands: Errands
  readonly #jobs: JobDesk
  readonly #leases: LeaseDesk
  readonly #housekeeper: Housekeeper
  /** When a job last came or ended, or somebody asked for its result, in milliseconds since 1970. */
  #busyAt = 0

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const store = objectStore(state.storage)
    migrate(store, LEDGER_MIGRATIONS)
    const tenant = TenantId.parse(state.id.name)
    const now = (): number => Date.now()
    const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
    const last =
      first<{ id: string | null }>(
        store,
        'SELECT max(id) AS id FROM (SELECT max(id) AS id FROM jobs UNION ALL SELECT max(last) FROM pages)',
      )?.id ?? null
    this.#context = {
      store,
      memory: new LedgerMemory(),
      tenant,
      now,
      random,
      newJobId: jobIds(tenant, last as JobId | null, now, random),
      numbers: eventNumbers(store),
      emit: (effect) => this.#carryOut(effect),
      settle,
    }
    const moved = new MovedJobs(this.#context, env.RESULTS)
    const untilEnded: WaitingDesk['untilEnded'] = async (id, wait_ms) => void (await this.#streams.waiters.until(id, wait_ms))
    this.#desk = { context: this.#context, commit: (body) => this.#commit(body), untilEnded }
    this.#errands = new Errands(env, this.#desk)
    this.#leases = new LeaseDesk({ ...this.#desk, env })
    this.#housekeeper = new Housekeeper({ ...this.#desk, env, moved })
    this.#jobs = new JobDesk({
      ...this.#desk,
      moved,
      bucket: env.RESULTS,
      live: this.#live,
    })
    this.#liveCount = countLive(this.#context)
    this.#streams = new Streams(state, this.#context, this.#live, (id, after) => moved.follow(id, after))
    this.#submits = new Gather((batch) => this.#submitAll(batch))
    this.#publisher = new Publisher({ env, context: this.#context, commit: (body) => this.#commit(body), busyAt: () => this.#busyAt })
    this.#alarm = new Alarm(state.storage, store, (promise) => state.waitUntil(promise))
    handOverAgain(this.#context)
    commit(this.#context, loadLanes)
    this.#alarm.rearm()
  }

  // ---- clients ---------------------------------------------------------------------------------------------------

  /** Takes a job and, with `wait_ms`, waits for its end. Durable when it answers (I3). */
  async submit(wanted: Submission, wait_ms: number): Promise<Submitted> {
    const submitted = await this.#submits.add(wanted)
    await fault(this.env, 'ledger.submitted')
    if (!submitted.ok && submitted.moved !== undefined) {
      await this.#jobs.recall(submitted.moved)
      return this.submit(wanted, wait_ms)
    }
    if (!submitted.ok || wait_ms <= 0 || submitted.job.finished_at !== null) return submitted
    return { ...submitted, job: (await this.#untilEnded(submitted.job.id, wait_ms)) ?? submitted.job }
  }

  /** Many jobs in one transaction; an answer for each, in order. */
  async submitBatch(batch: Submission[]): Promise<Submitted[]> {
    const submitted = await takeBatch(
      this.#context,
      batch,
      (items) => this.#submitAll(items),
      (id) => this.#jobs.recall(id),
    )
    await fault(this.env, 'ledger.submitted')
    return submitted
  }

  #submitAll(batch: Submission[]): Submitted[] {
    this.#busyAt = Date.now()
    try {
      return this.#commit((context) =>
        batch.map((wanted) => {
          const submitted = submit(context, wanted, this.#liveCount)
          if (submitted.ok && submitted.created) this.#liveCount++
          return submitted
        }),
      )
    } catch (reason) {
      this.#liveCount = countLive(this.#context)
      throw reason
    }
  }

  job(id: string, wait_ms = 0): ReturnType<JobDesk['job']> {
    return this.#jobs.job(id, wait_ms)
  }

  list(query: ListQuery): ReturnType<JobDesk['list']> {
    return this.#jobs.list(query)
  }

  cancel(id: string, reason: string): ReturnType<JobDesk['cancel']> {
    return this.#jobs.cancel(id, reason)
  }

  remove(id: string): ReturnType<JobDesk['remove']> {
    return this.#jobs.remove(id)
  }

  result(id: string): ReturnType<JobDesk['result']> {
    this.#busyAt = Date.now()
    return this.#jobs.result(id)
  }

  written(writer: JobId): ReturnType<JobDesk['result']> {
    return this.#jobs.written(writer)
  }

  isReadable(writer: JobId): Promise<boolean> {
    return this.#jobs.isReadable(writer)
  }

  /** Slots that this tenant's running jobs take, by node. */
  busySlots(): Record<string, number> {
    return busySlots(this.#context)
  }

  // ---- dead letters, schedules, queues ---------------------------------------------------------------------------

  dead(query: DeadQuery): { items: DeadJob[]; next: string | null } {
    return listDead(this.#context, query)
  }

  async findDead(id: string): Promise<Dead> {
    await this.#jobs.recall(id)
    return findDead(this.#context, id)
  }

  async retry(id: string, wanted: Submission): Promise<Retried> {
    await this.#jobs.recall(id)
    const retried = this.#commit((context) => retry(context, id, wanted, this.#liveCount))
    if (retried.found === 'yes' && retried.ok) this.#liveCount++
    return retried
  }

  createSchedule(schedule: NewSchedule): Scheduled {
    return this.#commit((context) => createSchedule(context, schedule))
  }

  schedules(query: ScheduleQuery): { items: Schedule[]; next: string | null } {
    return listSchedules(this.#context, query)
  }

  schedule(id: string): Schedule | null {
    return shownSchedule(this.#context, id)
  }

  changeSchedule(id: string, change: ScheduleChange): Scheduled {
    return this.#commit((context) => changeSchedule(context, id, change))
  }

  removeSchedule(id: string): ScheduleRemoved {
    return this.#commit((context) => dropSchedule(context, id))
  }

  /** The Directory's word on what files say: the whole list, each time. */
  syncFileSchedules(list: NewSchedule[]): { kept: number; left: string[] } {
    return this.#commit((context) => syncFileSchedules(context, list))
  }

  figures(): LedgerFigures {
    return figuresOf(this.#context)
  }

  queues(query: { after: string | null; limit: number }): { items: Queue[]; next: string | null } {
    return listQueues(this.#context, query)
  }

  queue(name: QueueName): Queue | null {
    return showQueue(this.#context, name)
  }

  putQueue(name: QueueName, settings: QueueSettings): ReturnType<typeof putQueue> {
    return this.#commit((context) => putQueue(context, name, settings))
  }

  resetQueue(name: QueueName): boolean {
    return this.#commit((context) => resetQueue(context, name))
  }

  // ---- groups ----------------------------------------------------------------------------------------------------

  async submitGroup(wanted: GroupSubmission, wait_ms = 0): Promise<GroupAnswer> {
    this.#busyAt = Date.now()
    try {
      const taken = takeGroup(this.#desk, wanted, this.#liveCount, (made) => {
        this.#liveCount += made
      })
      return await groupEnded(this.#desk, taken, wait_ms)
    } catch (reason) {
      this.#liveCount = countLive(this.#context)
      throw reason
    }
  }

  async group(id: string, deed: GroupDeed, wait_ms = 0): Promise<GroupAnswer> {
    // Jobs of an old group may have moved; deleting it deletes them.
    if (deed.do === 'remove') for (const { row } of stepsOf(this.#context, id)) if (row.job !== null) await this.#jobs.recall(row.job)
    return groupEnded(this.#desk, askGroup(this.#desk, id, deed), wait_ms)
  }

  groups(query: GroupQuery): { items: Group[]; next: string | null } {
    return listGroups(this.#context, query)
  }

  groupBody(id: string): ReturnType<typeof groupBody> {
    return groupBody(this.#context, id)
  }

  /** True when it was known. */
  rememberSlice(result: ResultId, hash: SliceHash, query: string): boolean {
    return this.#commit((context) => rememberSlice(context, result, hash, query))
  }

  sliceQuery(result: ResultId, hash: SliceHash): Promise<string | null> {
    return this.#jobs.sliceQuery(result, hash)
  }

  /** Events of a job, a group or the tenant, at once or when there are some. */
  follow(wanted: Follow): Promise<Followed> {
    return this.#streams.follow(wanted)
  }

  /** A reader's socket: the backlog, then what comes, as JSON texts. Hibernates. */
  override async fetch(request: Request): Promise<Response> {
    return this.#streams.open(new URL(request.url))
  }

  override webSocketMessage(socket: WebSocket): void {
    this.#streams.said(socket)
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#streams.closed(socket)
    // 1005 and 1006 are not to be sent (RFC 6455, section 7.4.1).
    socket.close(code === 1005 || code === 1006 ? 1000 : code)
  }

  // ---- links -----------------------------------------------------------------------------------------------------

  offer(...given: Parameters<LeaseDesk['offer']>): Promise<OfferAnswer> {
    return this.#leases.offer(...given)
  }

  accept(...given: Parameters<LeaseDesk['accept']>): Promise<LeaseVerdict[]> {
    return this.#leases.accept(...given)
  }

  start(...given: Parameters<LeaseDesk['start']>): LeaseVerdict[] {
    return this.#leases.start(...given)
  }

  handBack(...given: Parameters<LeaseDesk['handBack']>): LeaseVerdict[] {
    return this.#leases.handBack(...given)
  }

  complete(...given: Parameters<LeaseDesk['complete']>): Promise<Ended> {
    return this.#leases.complete(...given)
  }

  fail(...given: Parameters<LeaseDesk['fail']>): Promise<Ended> {
    return this.#leases.fail(...given)
  }

  cancelAnswered(...given: Parameters<LeaseDesk['cancelAnswered']>): LeaseVerdict {
    return this.#leases.cancelAnswered(...given)
  }

  progress(
    holder: Holder,
    item: { job: JobId; attempt: number; phase: Phase; percent: number | null; rows: number | null; engine: string | null },
  ): void {
    const row = findJob(this.#context, item.job)
    if (!row || row.attempt !== item.attempt || row.session !== holder.session || row.state !== 'running') return
    const live: Liveness = {
      phase: item.phase,
      engine: item.engine,
      progress: item.percent === null && item.rows === null ? null : { percent: item.percent, rows: item.rows },
    }
    this.#live.set(item.job, live)
    this.#streams.progress(item.job, live)
  }

  resume(holder: Holder, holding: (Lease & { running: boolean })[], turn: string): Lease[] {
    return this.#commit((context) => resumeSession(context, holder, holding, turn))
  }

  /** False when the session holds nothing here any more. */
  renew(holder: Holder): boolean {
    return this.#commit((context) => renewSession(context, holder))
  }

  endSession(session: SessionId, reason: string): void {
    this.#commit((context) => endSession(context, session, reason))
  }

  holds(session: SessionId, job: JobId, attempt: number): boolean {
    return holds(this.#context, session, job, attempt)
  }

  mayPack(holder: Holder, job: JobId, attempt: number): boolean {
    return mayPack(this.#context, holder, job, attempt)
  }

  /** The same for an upload, which knows the session but not the node's name. */
  mayPackAs(session: SessionId, job: JobId, attempt: number): boolean {
    return mayPack(this.#context, { session }, job, attempt)
  }

  hasPack(holder: Holder, job: JobId, attempt: number, pack: { bytes: number; sha256: string }): boolean {
    return hasPack(this.#context, holder, job, attempt, pack)
  }

  packed(holder: Holder, job: JobId, attempt: number, pack: { bytes: number; sha256: string }): boolean {
    return this.#commit((context) => recordPack(context, holder, job, attempt, pack))
  }

  /** Where the objects of an attempt belong; null when the job is not here. */
  place(job: JobId): { family: Family; task: string; ended: boolean } | null {
    const row = findJob(this.#context, job)
    return row ? { family: row.family as Family, task: row.task, ended: row.finished_at !== null } : null
  }

  // ---- tables ----------------------------------------------------------------------------------------------------

  async publicationOutcome(items: Outcome[]): Promise<{ acknowledged: JobId[] }> {
    const acknowledged = this.#commit((context) => publicationOutcome(context, items))
    await fault(this.env, 'ledger.published')
    return { acknowledged }
  }

  // ---- time ------------------------------------------------------------------------------------------------------

  override async alarm(): Promise<void> {
    const tasks = await tasksDue(this.#context, (names) =>
      stub(this.env.DIRECTORY, 'directory', this.env).tasksNamed(this.#context.tenant, names),
    )
    fireTimers(this.#context, tasks)
    if (tasks.size > 0) this.#liveCount = countLive(this.#context)
    this.#alarm.rearm()
  }

  /** The cron's poke: handles what an alarm has missed. */
  async sweep(): Promise<void> {
    await this.alarm()
    const directory = stub(this.env.DIRECTORY, 'directory', this.env)
    await rescueStranded(
      this.#context,
      this.#looked,
      (names) => directory.poolsOf(this.#context.tenant, names),
      (body) => this.#commit(body),
    )
  }

  #commit<T>(body: (context: LedgerContext) => T): T {
    const answer = commit(this.#context, body)
    this.#alarm.arm()
    return answer
  }

  // ---- effects ---------------------------------------------------------------------------------------------------

  #carryOut(effect: LedgerEffect): void {
    switch (effect.kind) {
      case 'events':
        if (effect.ended) {
          this.#busyAt = Date.now()
          this.#liveCount = Math.max(0, this.#liveCount - 1)
          this.#housekeeper.expect()
        }
        // What was known of an attempt says nothing about the next one, nor about a job that waits again.
        if (effect.events.some(({ type }) => type === 'state')) this.#live.delete(effect.job)
        this.#streams.job(effect.job, effect.events, effect.ended)
        return
      case 'group_events':
        this.#streams.group(effect.group, effect.events, effect.ended)
        return
      case 'ready':
        this.ctx.waitUntil(this.#errands.tellPool(effect))
        return
      case 'held':
        this.ctx.waitUntil(this.#errands.tellHeld(effect))
        return
      case 'cancel':
        this.ctx.waitUntil(this.#errands.tellLink(effect.node, effect.session, effect.lease, effect.reason))
        return
      case 'outbox':
        this.ctx.waitUntil(this.#publisher.handOver(effect.family))
        return
      case 'carry':
        this.ctx.waitUntil(this.#errands.carry(effect.group, effect.step))
        return
      case 'purge':
        this.ctx.waitUntil(this.#errands.settle(effect.job))
        return
      case 'recall':
        this.ctx.waitUntil(this.#jobs.expire(effect.writer))
        return
      case 'housekeeping':
        this.ctx.waitUntil(this.#housekeeper.step())
        return
    }
  }

  async #untilEnded(id: JobId, wait_ms: number): Promise<Job | null> {
    if (findJob(this.#context, id)?.finished_at === null) await this.#streams.waiters.until(id, wait_ms)
    const row = findJob(this.#context, id)
    return row ? showJob(row, this.#live.get(id)) : null
  }
}
