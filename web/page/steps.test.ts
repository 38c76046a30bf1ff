import { describe, expect, it } from 'vitest'
import type { Job, JobEvent, ProgressEvent } from '../client/wire.ts'
import { stepsOf } from './steps.ts'

const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1_000).toISOString()

// The brands of ids are of no interest here.
const job = (more: object): Job =>
  JSON.parse(
    JSON.stringify({
      id: 'j',
      alias: null,
      task: 't',
      state: 'waiting',
      publication: 'none',
      queue: 'default',
      attempt: 0,
      tries: 0,
      progress: null,
      rows: null,
      bytes: null,
      created_at: at(0),
      started_at: null,
      finished_at: null,
      phase: null,
      engine: null,
      error: null,
      cancel: null,
      result: null,
      seq: 0,
      args: [],
      run_date: '2026-01-01',
      links: {},
      ...more,
    }),
  )
const events = (...list: [state: string, seconds: number, more?: object][]): JobEvent[] =>
  JSON.parse(
    JSON.stringify(list.map(([state, seconds, more], i) => ({ seq: i + 1, job: 'j', type: 'state', state, at: at(seconds), ...more }))),
  )
const running = (phase: string, percent: number | null): ProgressEvent =>
  JSON.parse(JSON.stringify({ job: 'j', state: 'running', at: at(3), phase, engine: 'duckdb', progress: { percent, rows: null } }))
const states = (steps: ReturnType<typeof stepsOf>): string => steps.map((step) => step.state).join(' ')

describe('the steps of a job', () => {
  it('walks from waiting to published', () => {
    expect(states(stepsOf(job({}), events(['waiting', 0]), null, null))).toBe('now ahead ahead ahead ahead ahead')
    const leased = events(['waiting', 0], ['leased', 1], ['running', 2])
    expect(states(stepsOf(job({ state: 'running' }), leased, running('planning', null), null))).toBe('done now ahead ahead ahead ahead')
    const executing = stepsOf(job({ state: 'running' }), leased, running('executing', 40), null)
    expect(states(executing)).toBe('done done now ahead ahead ahead')
    expect(executing[0]?.milliseconds).toBe(2_000)
    expect(executing[2]).toMatchObject({ title: 'Running on duckdb', percent: 40 })
    expect(states(stepsOf(job({ state: 'running' }), leased, running('uploading', null), null))).toBe('done done done now ahead ahead')
    const done = events(['waiting', 0], ['leased', 1], ['running', 2], ['succeeded', 5])
    expect(states(stepsOf(job({ state: 'succeeded', publication: 'pending' }), done, null, null))).toBe('done done done done done now')
    const published = stepsOf(job({ state: 'succeeded', publication: 'published' }), done, null, null)
    expect(states(published)).toBe('done done done done done done')
    expect(published[4]?.milliseconds).toBe(5_000)
  })

  it('marks the step that failed, or was cancelled, and none behind it', () => {
    const failed = events(['waiting', 0], ['leased', 1], ['running', 2], ['failed', 4])
    expect(states(stepsOf(job({ state: 'failed' }), failed, running('executing', 10), null))).toBe('done done failed ahead ahead ahead')
    expect(stepsOf(job({ state: 'failed' }), failed, running('executing', 10), null).map((step) => step.milliseconds)).toEqual([
      2_000,
      null,
      2_000,
      null,
      null,
      null,
    ])
    expect(states(stepsOf(job({ state: 'cancelled' }), events(['waiting', 0], ['cancelled', 3]), null, null))).toBe(
      'cancelled ahead ahead ahead ahead ahead',
    )
  })

  it('says why a job waits again', () => {
    const again = events(['waiting', 0], ['leased', 1], ['running', 2], ['scheduled', 3, { reason: 'the node was lost' }])
    const steps = stepsOf(job({ state: 'scheduled' }), again, null, null)
    expect(steps[0]).toMatchObject({ state: 'now', note: 'the node was lost' })
  })

  it('tells a result that could not be published from one that was', () => {
    const steps = stepsOf(
      job({ state: 'succeeded', publication: 'rejected' }),
      events(['succeeded', 1], ['succeeded', 2, { type: 'publication', publication: 'rejected', reason: 'column x changed' }]),
      null,
      null,
    )
    expect(steps[5]).toMatchObject({ title: 'Not published', state: 'failed', note: 'column x changed' })
  })
})
