import { describe, expect, it } from 'vitest'
import type { Job } from '../client/wire.ts'
import { cancelWords, triesWords } from './why.ts'

const job = (more: object): Job => ({ state: 'running', engine: 'duckdb', started_at: 'x', cancel: null, tries: 1, ...more }) as Job
const cancelled = (outcome: string, more: object = {}): string =>
  cancelWords(job({ cancel: { requested_at: 'x', outcome, reason: null }, ...more }))

describe('what became of a cancel', () => {
  it('is told for each outcome, with what is known', () => {
    expect(cancelled('confirmed', { state: 'cancelled' })).toBe('duckdb confirmed that the query is dead.')
    expect(cancelled('sent')).toBe('duckdb was told to kill the query, and has not answered yet.')
    expect(cancelled('requested')).toBe('Its node is told to stop it.')
    expect(cancelled('too_late', { state: 'succeeded' })).toBe('The cancel came too late: it had ended already.')
    expect(
      cancelWords(job({ state: 'cancelled', cancel: { requested_at: 'x', outcome: 'not_confirmed', reason: 'no answer in 15 s' } })),
    ).toBe('duckdb did not confirm that the query is dead (no answer in 15 s); it may still run there.')
  })

  it('does not tell of an engine that never had the query', () => {
    expect(cancelled('confirmed', { state: 'cancelled', engine: null, started_at: null })).toBe('It had not started.')
    expect(cancelled('confirmed', { state: 'cancelled', engine: null, started_at: null, coalesced_with: 'j' })).toContain(
      'goes on for that one',
    )
  })
})

describe('how often a job was tried', () => {
  it('is told where it was more than once', () => {
    expect(triesWords(job({}))).toBe('')
    expect(triesWords(job({ tries: 3, max_tries: 11 }))).toBe('It was tried 3 times, of 11 that it had.')
  })
})
