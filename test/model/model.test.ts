import { expect, test } from 'vitest'
import { brief, type Happening, sequence, simpler } from './operations.ts'
import { Play } from './play.ts'
import { shrink } from './shrink.ts'

/** Sequences of one run of the tests. More: SCARAB_SEQUENCES=100000. */
const SEQUENCES = Number(process.env.SCARAB_SEQUENCES ?? 2_000)
const FIRST_SEED = Number(process.env.SCARAB_FIRST_SEED ?? 1)
/** Replays one sequence. */
const SEED = process.env.SCARAB_SEED

/** What went wrong, and at which operation; null: nothing. */
const faultOf = (operations: readonly Happening[]): string | null => {
  const play = new Play()
  for (const [index, operation] of operations.entries()) {
    try {
      play.play(operation)
    } catch (fault) {
      return `operation ${index + 1} (${operation.do}): ${fault instanceof Error ? (process.env.SCARAB_SEED ? fault.stack : fault.message) : String(fault)}`
    }
  }
  try {
    play.calm()
  } catch (fault) {
    return `in the calm after: ${fault instanceof Error ? (process.env.SCARAB_SEED ? fault.stack : fault.message) : String(fault)}`
  }
  return null
}

/** How a fault begins, without the names in it: the shrunk sequence must fail in the same way. */
const kindOf = (fault: string): string =>
  fault
    .replace(/^operation \d+ \(\w+\)/, '')
    .replace(/\b[0-9a-z]{26}\b/g, '…')
    .slice(0, 60)

const tell = (seed: number): string | null => {
  const operations = sequence(seed)
  const fault = faultOf(operations)
  if (fault === null) return null
  const kind = kindOf(fault)
  const least = shrink(
    operations,
    (candidate) => {
      const found = faultOf(candidate)
      return found !== null && kindOf(found) === kind
    },
    simpler,
    1_500,
  )
  return `seed ${seed}: ${faultOf(least)}\n${least.map((operation) => `  ${brief(operation)}`).join('\n')}\n  replay: SCARAB_SEED=${seed} npx vitest run test/model`
}

test('every job ends once, whatever happens in whatever order (I1, I2, I4, I9, I10)', { timeout: 3_600_000 }, () => {
  const seeds = SEED === undefined ? Array.from({ length: SEQUENCES }, (_, index) => FIRST_SEED + index) : [Number(SEED)]
  const bad: string[] = []
  for (const seed of seeds) {
    const told = tell(seed)
    if (told !== null) bad.push(told)
    if (bad.length >= 3) break
  }
  expect(bad.join('\n'), `${bad.length} sequences broke a rule`).toBe('')
})
