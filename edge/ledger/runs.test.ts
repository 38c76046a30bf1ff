import { describe, expect, it } from 'vitest'
import { nextDue } from '../storage/timers.ts'
import { submission, testLedger } from './fixture.ts'
import { MAX_MISSED_RUNS, MAX_QUEUED_RUNS } from './limits.ts'
import { fireSchedule, judgeMissed, type LiveRun, nextQueued, type RunTools } from './runs.ts'
import { createSchedule, findSchedule, type ScheduleRow, type Wanted } from './schedules.ts'

const MINUTE = 60_000
const task = submission().task
const wanted = (change: Partial<Wanted> = {}): Wanted => ({
  task,
  cron: '*/5 * * * *',
  tz: 'UTC',
  missed: 'latest',
  overlap: 'skip',
  ...change,
})

/** A ledger at 03:04:05 with one schedule, and jobs that only this test knows of. */
const bench = (change: Partial<Wanted> = {}) => {
  const ledger = testLedger()
  const made = createSchedule(ledger.context, { task, source: 'api', wanted: wanted(change), run: submission(), rights: [] })
  if (!made.ok) throw new Error(made.detail)
  const { id } = made.schedule
  const started: { due: string; behind: string | null; args: unknown }[] = []
  const cancelled: string[] = []
  let live: LiveRun[] = []
  let refusal: string | null = null
  let renewal: ReturnType<RunTools['renew']> | null = null
  const tools: RunTools = {
    renew: (_row, run) => renewal ?? { ok: true, run },
    submit: (run, { due, behind }) => {
      if (refusal !== null) return { ok: false, detail: refusal }
      const job = `job${started.length + 1}`
      started.push({ due: new Date(due).toISOString().slice(11, 16), behind, args: run.args })
      live = [...live, { id: job, state: behind === null ? 'waiting' : 'blocked' }]
      return { ok: true, job }
    },
    cancel: (job) => {
      cancelled.push(job)
      live = live.filter((run) => run.id !== job)
    },
    live: () => live,
  }
  return {
    ...ledger,
    started,
    cancelled,
    row: (): ScheduleRow => {
      const row = findSchedule(ledger.context, id)
      if (!row) throw new Error('no schedule')
      return row
    },
    fire: () => fireSchedule(ledger.context, id, tools),
    end: (job: string) => {
      live = live.filter((run) => run.id !== job)
    },
    begin: (job: string) => {
      live = live.map((run) => (run.id === job ? { ...run, state: 'running' } : run))
    },
    refuse: (detail: string | null) => {
      refusal = detail
    },
    renewTo: (to: ReturnType<RunTools['renew']>) => {
      renewal = to
    },
    /** To the next time, and `late` milliseconds more. */
    passTo: (late = 0) => ledger.pass((findSchedule(ledger.context, id)?.next_at ?? 0) - ledger.context.now() + late),
    liveRuns: () => live,
  }
}
const due = (at: number | null): string => (at === null ? 'never' : new Date(at).toISOString().slice(11, 16))

describe('a schedule that is due', () => {
  it('starts one run, names it, and sets its timer to the next time', () => {
    const b = bench()
    expect(nextDue(b.context.store)).toBe(b.row().next_at)
    b.passTo()
    b.fire()
    expect(b.started).toEqual([{ due: '03:05', behind: null, args: [] }])
    expect(b.row()).toMatchObject({ last_job: 'job1', skipped: 0, notice: null })
    expect([due(b.row().last_at), due(b.row().next_at)]).toEqual(['03:05', '03:10'])
    expect(nextDue(b.context.store)).toBe(b.row().next_at)
  })

  it('starts nothing when its timer fires early or twice', () => {
    const b = bench()
    b.fire()
    expect(b.started).toEqual([])
    b.passTo()
    b.fire()
    b.fire()
    expect(b.started.length).toBe(1)
    expect(nextDue(b.context.store)).toBe(b.row().next_at)
  })

  it('forgets the timer of a schedule that is gone', () => {
    const b = bench()
    b.context.store.run('DELETE FROM schedules')
    b.passTo(MINUTE)
    b.fire()
    expect(nextDue(b.context.store)).toBeNull()
    expect(b.started).toEqual([])
  })

  it('says why a run could not be submitted, and goes on with the next', () => {
    const b = bench()
    b.refuse('too many jobs wait.')
    b.passTo()
    b.fire()
    expect(b.row()).toMatchObject({
      last_job: null,
      skipped: 1,
      notice: 'The run of 2026-01-02T03:05:00Z was left out: too many jobs wait.',
    })
    b.refuse(null)
    b.passTo()
    b.fire()
    expect(b.started.map(({ due: at }) => at)).toEqual(['03:10'])
  })

  it('submits the task as it is now, and nothing when it cannot', () => {
    const b = bench()
    b.renewTo({ ok: true, run: submission({ args: [7] }) })
    b.passTo()
    b.fire()
    expect(b.started).toMatchObject([{ args: [7] }])
    expect(JSON.parse(b.row().body)).toMatchObject({ run: { args: [7] }, said: { cron: '*/5 * * * *' } })
    b.end('job1')
    b.renewTo({ ok: false, detail: 'its parameters have changed.' })
    b.passTo()
    b.fire()
    expect(b.row()).toMatchObject({ last_job: 'job1', skipped: 1 })
    expect(b.row().notice).toContain('its parameters have changed')
  })
})

describe('runs that were missed', () => {
  // 03:04:05 → 03:39: due at 03:05, 03:10 … 03:35, the last of them four minutes ago.
  const missed = (policy: Wanted['missed'], late: number, overlap: Wanted['overlap'] = 'allow') => {
    const b = bench({ missed: policy, overlap })
    b.passTo(30 * MINUTE + late)
    b.fire()
    return b
  }

  it('are left out, but for one that is just late', () => {
    expect(missed('skip', 4 * MINUTE).started).toEqual([])
    expect(missed('skip', 4 * MINUTE).row()).toMatchObject({ skipped: 7, last_job: null })
    const late = missed('skip', 2 * MINUTE)
    expect(late.started.map(({ due: at }) => at)).toEqual(['03:35'])
    expect(late.row().skipped).toBe(6)
  })

  it('are made up for by the latest', () => {
    const b = missed('latest', 4 * MINUTE)
    expect(b.started.map(({ due: at }) => at)).toEqual(['03:35'])
    expect(b.row().skipped).toBe(6)
    expect(b.row().notice).toBe('6 runs were missed up to 2026-01-02T03:35:00Z: nothing could start them; made up for by 1.')
    expect(due(b.row().next_at)).toBe('03:40')
  })

  it('are all made up for, in order', () => {
    const b = missed('all', 4 * MINUTE)
    expect(b.started.map(({ due: at }) => at)).toEqual(['03:05', '03:10', '03:15', '03:20', '03:25', '03:30', '03:35'])
    expect(b.row()).toMatchObject({ skipped: 0, notice: null, last_job: 'job7' })
  })

  it('are at most a hundred, the newest', () => {
    const b = bench({ missed: 'all', overlap: 'allow' })
    b.passTo(24 * 60 * MINUTE)
    b.fire()
    expect(b.started.length).toBe(MAX_MISSED_RUNS)
    expect(b.started.at(-1)?.due).toBe('03:05')
    expect(b.row().skipped).toBe(289 - MAX_MISSED_RUNS)
  })

  it('are judged by how late the newest is', () => {
    expect(judgeMissed('skip', { newest: [1_000], count: 1 }, 121_000)).toEqual({ run: [1_000], skipped: 0 })
    expect(judgeMissed('skip', { newest: [1_000], count: 1 }, 121_001)).toEqual({ run: [], skipped: 1 })
    expect(judgeMissed('latest', { newest: [1_000], count: 1 }, 10 ** 9)).toEqual({ run: [1_000], skipped: 0 })
    for (const policy of ['skip', 'latest', 'all'] as const)
      expect(judgeMissed(policy, { newest: [], count: 0 }, 5)).toEqual({ run: [], skipped: 0 })
  })
})

describe('a run that is due while the one before has not ended', () => {
  const overlapping = (overlap: Wanted['overlap']) => {
    const b = bench({ overlap })
    b.passTo()
    b.fire()
    b.begin('job1')
    b.passTo()
    b.fire()
    return b
  }

  it('is left out', () => {
    const b = overlapping('skip')
    expect(b.started.length).toBe(1)
    expect(b.row()).toMatchObject({ skipped: 1, last_job: 'job1' })
    expect(b.row().notice).toBe('The run of 2026-01-02T03:10:00Z was left out: job job1 of this schedule has not ended.')
    b.end('job1')
    b.passTo()
    b.fire()
    expect(b.started.map(({ due: at }) => at)).toEqual(['03:05', '03:15'])
  })

  it('runs beside it', () => {
    expect(overlapping('allow').started).toMatchObject([{ behind: null }, { behind: null }])
  })

  it('takes its place', () => {
    const b = overlapping('cancel')
    expect(b.cancelled).toEqual(['job1'])
    expect(b.started).toMatchObject([{ behind: null }, { behind: null }])
  })

  it('waits for it, one behind the other, and not without end', () => {
    const b = overlapping('queue')
    expect(b.started).toMatchObject([{ behind: null }, { behind: 'job1' }])
    for (let n = 0; n < MAX_QUEUED_RUNS + 1; n++) {
      b.passTo()
      b.fire()
    }
    expect(b.started.length).toBe(1 + MAX_QUEUED_RUNS)
    expect(b.started[2]).toMatchObject({ behind: 'job2' })
    expect(b.row()).toMatchObject({ skipped: 2 })
    expect(b.row().notice).toContain('100 runs of this schedule wait already')
  })

  it('is released when nothing is before it', () => {
    const b = overlapping('queue')
    expect(nextQueued(b.liveRuns())).toBeNull()
    b.end('job1')
    expect(nextQueued(b.liveRuns())).toBe('job2')
    expect(nextQueued([])).toBeNull()
  })
})
