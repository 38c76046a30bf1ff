import { expect, it } from 'vitest'
import { GroupBody } from '../../contract/groups.ts'
import { type JobId, TaskName } from '../../contract/ids.ts'
import { isTerminal } from '../../contract/jobs.ts'
import { cancel, cancelAnswered } from '../cancel.ts'
import { commit } from '../context.ts'
import { complete, fail } from '../finish.ts'
import { completion, groupEvents, HOLDER, request, submission, testLedger } from '../fixture.ts'
import { findJob } from '../jobs.ts'
import { accept, handBack, offer } from '../leases.ts'
import { publicationOutcome } from '../publication.ts'
import { eventsAfter } from '../read.ts'
import { SHOWN } from '../states.ts'
import { countLive } from '../submit.ts'
import { fireTimers } from '../timers.ts'
import { askGroup, takeGroup } from './desk.ts'
import { planGroup } from './plan.ts'
import { stepsOf } from './rows.ts'

/** Mulberry32: a random number below `limit`. */
const dice = (seed: number) => {
  let state = seed
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

const randomBody = (roll: (limit: number) => number): GroupBody => {
  const count = 1 + roll(6)
  const steps: [string, unknown][] = []
  for (let n = 0; n < count; n++) {
    const needs = [...Array(n).keys()].filter(() => roll(3) === 0).map((m) => `s${m}`)
    const jobs = needs.filter((need) => steps.some(([name, step]) => name === need && 'task' in (step as object)))
    const edges = {
      needs,
      ...(needs.length > 0 ? { when: ['succeeded', 'failed', 'always'][roll(3)] } : {}),
      ...(roll(3) === 0 ? { after: 'published' } : {}),
    }
    if (roll(5) === 0) steps.push([`s${n}`, { approval: { deadline: 60, default: roll(2) === 0 ? 'approve' : 'reject' }, ...edges }])
    else
      steps.push([
        `s${n}`,
        jobs[0] && roll(2) === 0 ? { task: 'number', args: [{ from: jobs[0], column: 'n' }], ...edges } : { task: 'daily', ...edges },
      ])
  }
  for (const [name, step] of [...steps])
    if ('task' in (step as object) && roll(3) === 0) steps.push([`u-${name}`, { task: 'daily', compensates: name }])
  return GroupBody.parse({
    steps: Object.fromEntries(steps),
    ...(roll(2) === 0 ? { alert: { task: 'daily' } } : {}),
    ...(roll(4) === 0 ? { deadline: 300 } : {}),
  })
}

/** One ledger, a few groups, and whatever nodes, people, tables and clocks do, in any order. */
const live = (seed: number) => {
  const roll = dice(seed)
  const bench = testLedger()
  const { context } = bench
  const desk = { context, commit: <T>(body: (inner: typeof context) => T): T => commit(context, body) }
  const groups: string[] = []
  const jobs = (): { id: JobId; attempt: number; state: string; publication: string; coalesced_with: string | null }[] =>
    context.store.all('SELECT id, attempt, state, publication, coalesced_with FROM jobs ORDER BY id')
  const pick = <T>(items: T[]): T | undefined => items[roll(Math.max(1, items.length))]
  const ends = new Map<string, string>()

  const deeds: (() => void)[] = [
    () => {
      if (groups.length >= 3) return
      // Identical steps of this seed's groups share their executions, or none does.
      const shared = seed % 2 === 0 ? { submitted_hash: 'a'.repeat(64), signature: 'p.c', sameness: 'any' } : {}
      const planned = planGroup(randomBody(roll), (name) => ({ name, params: [], arity: name === 'number' ? 1 : 0, db: [], columns: null }))
      if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
      const answer = takeGroup(
        desk,
        {
          alias: null,
          deadline_seconds: roll(3) === 0 ? 300 : null,
          undo_seconds: roll(3) === 0 ? 300 : null,
          request: '',
          idempotency: null,
          rights: [],
          retries: null,
          steps: planned.steps.map(({ plan, job }) => ({
            plan,
            job: job && submission({ task: TaskName.parse('daily'), args: job.args, ...shared }),
          })),
        },
        countLive(context),
        () => undefined,
      )
      if (!answer.ok) throw new Error(answer.detail)
      groups.push(answer.group.id)
    },
    () => {
      const { offers } = commit(context, (inner) => offer(inner, request(HOLDER, 1 + roll(3))))
      const items = offers.map(({ job, attempt }) => ({ job, attempt, start: roll(2) === 0 }))
      if (roll(5) > 0) commit(context, (inner) => accept(inner, HOLDER, items))
    },
    () => {
      const held = pick(jobs().filter(({ state }) => state === 'leased' || state === 'running' || state === 'carrying'))
      if (!held) return
      const lease = { job: held.id, attempt: held.attempt }
      commit(context, (inner) => {
        const way = roll(6)
        if (way < 3)
          complete(inner, HOLDER, [
            { ...completion(held.id, held.attempt), inline: { parquet: new Uint8Array(1), rows: roll(4) === 0 ? [[null]] : [['7']] } },
          ])
        else if (way === 3)
          fail(inner, HOLDER, [{ ...lease, failure: { class: roll(2) === 0 ? 'lost' : 'sql', code: 'x', message: 'broken' } }])
        else if (way === 4) handBack(inner, HOLDER, [{ ...lease, reason: 'drain' }])
        else cancelAnswered(inner, HOLDER, { ...lease, outcome: 'confirmed', reason: null })
      })
    },
    () => {
      const pending = pick(jobs().filter((job) => job.publication === 'pending' && job.coalesced_with === null))
      const publication = roll(5) === 0 ? 'rejected' : 'published'
      if (pending)
        commit(context, (inner) =>
          publicationOutcome(inner, [{ job: pending.id, attempt: pending.attempt, publication, snapshot: null, reason: null }]),
        )
    },
    () => {
      const one = pick(jobs())
      const row = one && findJob(context, one.id)
      if (row && roll(4) === 0) commit(context, (inner) => cancel(inner, row, 'by hand'))
    },
    () => {
      const group = pick(groups)
      const step = group && pick(stepsOf(context, group))
      if (group && step)
        askGroup(desk, group, { do: 'decide', step: step.row.name, decision: roll(2) === 0 ? 'approve' : 'reject', subject: 'ann' })
    },
    () => {
      const group = pick(groups)
      if (group && roll(6) === 0) askGroup(desk, group, { do: 'cancel' })
    },
    () => {
      bench.pass(roll(4) === 0 ? 61_000 : 1_500)
      fireTimers(context)
    },
    // Another life of the object: memory is gone, the database is all there is.
    () => context.memory.forget(),
  ]

  const check = (): void => {
    for (const id of groups) {
      const answer = askGroup(desk, id, { do: 'show' })
      if (!answer.ok) throw new Error(answer.code)
      const { group } = answer
      const events = groupEvents(context, id)
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
      expect(group.seq).toBe(events.length)
      if (ends.has(id)) expect(JSON.stringify(group)).toBe(ends.get(id))
      else if (group.finished_at !== null) ends.set(id, JSON.stringify(group))
      for (const [name, step] of Object.entries(group.steps)) {
        const row = step.job === null ? undefined : findJob(context, step.job)
        // A group is never behind its jobs.
        if (row && step.state !== 'skipped') expect(step.state, name).toBe(SHOWN[row.state])
        if (row && step.state === 'skipped') expect(row.state, name).toBe('cancelled')
        if (group.finished_at !== null) expect(['succeeded', 'failed', 'cancelled', 'skipped'], name).toContain(step.state)
        const told = events.filter(
          (event) => event.step === name && ['succeeded', 'failed', 'cancelled', 'skipped'].includes(event.step_state ?? ''),
        )
        expect(told.length, name).toBeLessThanOrEqual(1)
        if (told[0]) expect(told[0].step_state, name).toBe(step.state)
      }
    }
    for (const { id, state } of jobs())
      if (isTerminal(SHOWN[state as keyof typeof SHOWN]))
        expect(eventsAfter(context, id, 0).filter((event) => event.type === 'state' && isTerminal(event.state))).toHaveLength(1)
  }
  return { deeds, roll, check, groups, ends, finish: deeds.slice(1, 4), wake: deeds[7], jobs, context }
}

it('groups follow their jobs through any history, and end, once', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const world = live(seed)
    try {
      for (let turn = 0; turn < 60; turn++) {
        world.deeds[world.roll(world.deeds.length)]?.()
        world.check()
      }
      // Quiet now: nodes work, tables answer, clocks go on; nobody asks for anything new.
      for (let turn = 0; turn < 4_000 && world.ends.size < world.groups.length; turn++) {
        world.finish[world.roll(world.finish.length)]?.()
        world.wake?.()
        if (turn % 50 === 0) world.check()
      }
      world.check()
      expect(world.ends.size, 'groups that have ended').toBe(world.groups.length)
      expect(countLive(world.context), 'jobs that have not ended').toBe(0)
    } catch (fault) {
      throw new Error(`seed ${seed}: ${fault instanceof Error ? fault.message : String(fault)}`, { cause: fault })
    }
  }
})
