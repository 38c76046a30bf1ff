import { Family, type JobId, QueueName } from '../../edge/contract/ids.ts'
import { QueueSettings } from '../../edge/contract/queues.ts'
import { cancel } from '../../edge/ledger/cancel.ts'
import { commit } from '../../edge/ledger/context.ts'
import { POOL, submission } from '../../edge/ledger/fixture.ts'
import { askGroup, takeGroup } from '../../edge/ledger/groups/desk.ts'
import { stepsOf } from '../../edge/ledger/groups/rows.ts'
import { loadLanes } from '../../edge/ledger/lanes.ts'
import { endSession, renewSession } from '../../edge/ledger/leases.ts'
import { eventNumbers } from '../../edge/ledger/numbers.ts'
import { handedOver, handOverAgain, handover, publicationOutcome } from '../../edge/ledger/publication.ts'
import { putQueue } from '../../edge/ledger/queues.ts'
import { remove } from '../../edge/ledger/remove.ts'
import { createSchedule } from '../../edge/ledger/schedules.ts'
import { countLive } from '../../edge/ledger/submit.ts'
import { fireTimers } from '../../edge/ledger/timers.ts'
import { dropSchedule } from '../../edge/ledger/timetable.ts'
import { purge, runAgain, take } from './clients.ts'
import type { TimerRow } from './invariants.ts'
import { isHeld, isOver, type ModelJob } from './model.ts'
import { comeBack, give, say } from './nodes.ts'
import type { Happening } from './operations.ts'
import { HOLDERS, LANES, Scene, store } from './scene.ts'
import { groupOf } from './shapes.ts'

/** Plays operations, one after the other, and then lets everything come to its end. */
export class Play {
  readonly scene = new Scene()

  /** One operation, then every rule. Throws when one is broken. */
  play(happening: Happening): void {
    this.scene.fails = happening.fails ?? false
    this.perform(happening)
    this.scene.check()
  }

  perform(op: Happening): void {
    const { context, model } = this.scene
    const now = this.scene.at
    switch (op.do) {
      case 'submit':
        take(this.scene, op.asks)
        return
      case 'cancel': {
        const all = model.all()
        const some = all.filter((job) => (op.of === 'held' && isHeld(job)) || (op.of === 'joined' && job.state === 'joined'))
        const job = this.scene.newest(some.length > 0 ? some : all, op.job)
        if (!job || this.scene.commit((inner) => cancel(inner, this.scene.row(job.id), 'not needed')) === null) return
        this.scene.foresee(() => model.cancel(job, now))
        return
      }
      case 'remove': {
        const job = this.scene.newest(
          model.all().filter(({ finished, deleted }) => finished !== null && !deleted),
          op.job,
        )
        if (!job || this.scene.commit((inner) => remove(inner, this.scene.row(job.id))) === null) return
        job.deleted = true
        return
      }
      case 'retry':
        runAgain(this.scene, op.job)
        return
      case 'purge': {
        const timer = this.scene.newest(store.all<TimerRow>(`SELECT * FROM timers WHERE kind = 'purge' ORDER BY due`), op.job)
        if (timer) purge(this.scene, timer.ref)
        return
      }
      case 'offer':
        give(this.scene, op)
        return
      case 'say':
        say(this.scene, op)
        return
      case 'end': {
        const { session } = this.scene.holder(op.holder)
        if (this.scene.commit((inner) => endSession(inner, session, 'gone') ?? true) === null) return
        this.scene.foresee(() => model.end(session, now))
        return
      }
      case 'renew':
        this.scene.commit((inner) => renewSession(inner, this.scene.holder(op.holder)))
        return
      case 'resume':
        comeBack(this.scene, op)
        return
      case 'table':
        this.table(op)
        return
      case 'wait':
        this.wait(op.ms)
        return
      case 'restart': {
        context.memory.forget()
        Object.assign(context, { numbers: eventNumbers(store) })
        handOverAgain(context)
        commit(context, loadLanes)
        return
      }
      case 'deaf':
        this.scene.deaf = op.deaf
        return
      case 'queue': {
        const queue = LANES[op.lane % LANES.length] ?? QueueName.parse('default')
        const settings = QueueSettings.parse({ paused: op.paused, concurrency: op.concurrency })
        if (this.scene.commit((inner) => putQueue(inner, queue, settings)) !== null) this.scene.queues.set(queue, settings)
        return
      }
      case 'group': {
        if (this.scene.groups.length >= 3) return
        const answer = takeGroup(this.scene.desk(), groupOf(op.shape), countLive(context), () => undefined)
        if (answer?.ok) this.scene.groups.push(answer.group.id)
        return
      }
      case 'deed': {
        const group = this.scene.newest(this.scene.groups, op.group)
        if (group === undefined) return
        const step = this.scene.newest(stepsOf(context, group), op.step)
        if (op.deed === 'cancel' || op.deed === 'remove') askGroup(this.scene.desk(), group, { do: op.deed })
        else if (step) askGroup(this.scene.desk(), group, { do: 'decide', step: step.row.name, decision: op.deed, subject: 'ann' })
        return
      }
      case 'schedule': {
        if (this.scene.schedules.length >= 2) return
        const run = submission()
        const wanted = { task: run.task, cron: '* * * * *', tz: 'UTC', overlap: op.overlap, missed: op.missed }
        const made = this.scene.commit((inner) => createSchedule(inner, { task: run.task, source: 'api', wanted, run, rights: [] }))
        if (made?.ok && made.created) this.scene.schedules.push(made.schedule.id)
        return
      }
      case 'unschedule':
        for (const id of this.scene.schedules.splice(0)) commit(context, (inner) => dropSchedule(inner, id))
        return
    }
  }

  table(op: Extract<Happening, { do: 'table' }>): void {
    const rows = store.all<{ job: JobId; kind: 'publish' | 'withdraw' }>('SELECT job, kind FROM outbox ORDER BY job')
    const row = this.scene.newest(rows, op.row)
    if (!row) return
    const { job, kind } = row
    const { attempt } = this.scene.row(job)
    const given = handover(this.scene.context, Family.parse('reports.daily'))
    this.scene.commit((inner) => handedOver(inner, kind, [job]))
    if (kind === 'publish') {
      const manifest = given.publish.find((one) => one.manifest.job === job)?.manifest
      if (manifest && (this.scene.taken.get(job) ?? manifest.attempt) !== manifest.attempt)
        throw new Error(`I4: ${job} is published by two attempts`)
      if (this.scene.taken.get(job) === null) throw new Error(`I4: ${job} was withdrawn, and is published`)
      this.scene.taken.set(job, attempt)
    } else this.scene.taken.set(job, null)
    const outcome = (publication: 'published' | 'rejected' | 'withdrawn'): unknown =>
      this.scene.commit((inner) => publicationOutcome(inner, [{ job, attempt, publication, snapshot: null, reason: null }]))
    // News of what came before a withdrawal may be late.
    if (kind === 'withdraw' && op.twice) outcome(op.outcome)
    outcome(kind === 'publish' ? op.outcome : 'withdrawn')
    if (op.twice) outcome(kind === 'publish' ? op.outcome : 'withdrawn')
  }

  wait(ms: number): void {
    this.scene.at += ms
    const now = this.scene.at
    const { model } = this.scene
    const due = store.all<TimerRow>('SELECT * FROM timers WHERE due <= ? ORDER BY due, kind, ref', now)
    fireTimers(this.scene.context)
    this.scene.foresee(() => {
      for (const { kind, ref, due: at } of due) {
        const job = model.jobs.get(ref)
        if (kind === 'offers') for (const one of model.all()) if (one.state === 'offered' && (one.offerBy ?? 0) <= now) model.waits(one)
        if (kind === 'due' && job?.state === 'scheduled') this.due(job)
        if (kind === 'expire' && job) model.expire(job, now)
        // A silence counts only while the ledger was there to hear of it.
        if (kind === 'session' && now - at <= 30_000) model.end(ref, now)
        if (kind === 'cancel' && job && isHeld(job) && job.cancelling) model.stop(job, now)
      }
    })
    for (const job of model.all()) if (job.state === 'scheduled') this.scene.backsOff(job.id)
  }

  /** A back-off is over, or an `eta` has come: then it may take a result, which the model takes the ledger's word for. */
  due(job: ModelJob): void {
    const { eta, reuse_seconds } = this.scene.asks.get(job.id)?.submission ?? {}
    const source = this.scene.row(job.id).reused_from
    if (job.tries > 0) this.scene.model.waits(job)
    else if (source !== null && reuse_seconds != null) {
      job.source = source
      this.scene.model.ends(job, 'succeeded', this.scene.at)
    } else this.scene.model.begin(job, eta ?? 0)
  }

  /** The rest of the sequence: nobody asks for more, nodes and tables do their work, clocks go on. Everything must end. */
  calm(): void {
    this.scene.deaf = false
    this.scene.fails = false
    this.perform({ do: 'unschedule' })
    for (const lane of LANES.keys()) this.perform({ do: 'queue', lane, paused: false, concurrency: null })
    const live = (): ModelJob[] => this.scene.model.all().filter(({ state }) => !isOver(state))
    for (let turn = 0; turn < 600; turn++) {
      const open = live().length > 0 || store.all('SELECT id FROM groups WHERE finished_at IS NULL').length > 0
      if (!open && store.all('SELECT job FROM outbox').length === 0) break
      const [next] = store.all<TimerRow>(`SELECT * FROM timers WHERE kind NOT IN ('lane', 'outbox', 'purge') ORDER BY due LIMIT 1`)
      this.wait(Math.max(1_000, turn % 3 === 2 ? (next?.due ?? 0) - this.scene.at : 0))
      for (const [lane, queue] of LANES.entries())
        if (this.scene.known.has(`${POOL}/${queue}`))
          for (const knows of [1, 2]) give(this.scene, { do: 'offer', holder: 2, lane, want: 50, knows, fresh: false, next: 'begin' })
      for (const job of live()) {
        const index = this.scene.leases.findLastIndex((lease) => lease.job === job.id && lease.attempt === job.attempt)
        const tell = (what: 'complete' | 'stopped'): void =>
          say(this.scene, { do: 'say', what, lease: this.scene.leases.length - 1 - index, late: true, as: null, class: 'lost' })
        if (index >= 0 && isHeld(job)) tell(job.cancelling && turn % 2 === 0 ? 'stopped' : 'complete')
      }
      for (const _ of store.all('SELECT job FROM outbox')) this.table({ do: 'table', row: 0, outcome: 'published', twice: false })
      this.scene.check()
    }
    const left = live().map(({ id, state }) => `${id} is ${state}`)
    const groups = store.all<{ id: string; state: string }>('SELECT id, state FROM groups WHERE finished_at IS NULL')
    left.push(...groups.map(({ id, state }) => `group ${id} is ${state}`))
    left.push(...store.all<{ job: string }>('SELECT job FROM outbox').map(({ job }) => `the result of ${job} is on its way`))
    if (left.length > 0) throw new Error(`never ended: ${left.join(', ')}`)
    for (const { session } of HOLDERS)
      if (this.scene.model.heldBy(session).length > 0) throw new Error(`slots: ${session} holds what has ended`)
    for (const holder of HOLDERS)
      if (commit(this.scene.context, (inner) => renewSession(inner, holder)))
        throw new Error(`slots: ${holder.session} still holds something`)
    if (countLive(this.scene.context) !== 0) throw new Error('slots: jobs are counted that have ended')
  }
}
