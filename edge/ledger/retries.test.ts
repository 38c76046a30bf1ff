import { describe, expect, it } from 'vitest'
import { FailureClass } from '../contract/node.ts'
import { backoff, isRetried, mayRetry, triesOf } from './retries.ts'

const bytes = (value: number) => (count: number) => new Uint8Array(count).fill(value)

describe('retries', () => {
  it('are for what was lost or overloaded, and for nothing else', () => {
    expect(FailureClass.options.filter(isRetried).sort()).toEqual(['lost', 'overloaded'])
  })

  it('end with the last of the tries that the job has', () => {
    expect([1, 2, 3].map((tries) => mayRetry(tries, triesOf(2)))).toEqual([true, true, false])
    expect(mayRetry(1, triesOf(0))).toBe(false)
    expect([10, 11].map((tries) => mayRetry(tries, null))).toEqual([true, false])
    expect(triesOf(undefined)).toBe(triesOf(10))
  })

  it('wait anything from nothing to a ceiling that doubles and is capped', () => {
    const ceilings = Array.from({ length: 12 }, (_, n) => backoff(n + 1, bytes(255)))
    expect(ceilings).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30].map((seconds) => seconds * 1000))
    expect(backoff(5, bytes(0))).toBe(0)
    expect(backoff(5, bytes(128))).toBe(Math.round((16_000 * (128 * 257)) / 65_535))
    expect(backoff(0, bytes(255))).toBe(1_000)
  })

  it('are spread evenly over the whole pause', () => {
    let state = 7
    const noise = (count: number): Uint8Array =>
      Uint8Array.from({ length: count }, () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
        return state >>> 24
      })
    const quarters = [0, 0, 0, 0]
    for (let n = 0; n < 8_000; n++) {
      const quarter = Math.min(3, Math.floor(backoff(5, noise) / 4_000))
      quarters[quarter] = (quarters[quarter] ?? 0) + 1
    }
    for (const count of quarters) expect(Math.abs(count - 2_000)).toBeLessThan(200)
  })
})
