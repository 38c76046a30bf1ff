import { expect } from 'vitest'
import { tell } from './history.ts'
import { FAULT_POINTS } from './weather.ts'

/** Histories of one run of the tests, both shares together. More: SCARAB_HISTORIES=100000. */
const HISTORIES = Number(process.env.SCARAB_HISTORIES ?? 10_000)
/** Replays one history and prints its log; SCARAB_LOG=2 prints every call and frame. */
const SEED = process.env.SCARAB_SEED
/** Where the seeds begin: every run of the tests plays the same ones. */
const FIRST_SEED = Number(process.env.SCARAB_FIRST_SEED ?? 1)
/** A run that finds so many bad histories has found enough. */
const ENOUGH = 10
/** From so many on, every fault point must have been hit. */
const MANY = 1_000

/** Plays the histories of one share, which has the seeds of one parity, and fails with how to replay what went wrong. */
export const playShare = async (parity: 0 | 1): Promise<void> => {
  const seeds = SEED === undefined ? Array.from({ length: HISTORIES }, (_, i) => FIRST_SEED + i) : [Number(SEED)]
  const mine = seeds.filter((seed) => seed % 2 === parity)
  const bad: string[] = []
  const struck = new Set<string>()
  let [steps, jobs, crashes, played] = [0, 0, 0, 0]
  const began = performance.now()
  for (const seed of mine) {
    const told = await tell(seed)
    played++
    steps += told.steps
    jobs += told.jobs
    crashes += told.crashes
    for (const point of told.struck) struck.add(point)
    if (SEED !== undefined) console.log(told.log.join('\n'))
    if (told.violations.length > 0) {
      const what = `seed ${seed}: ${told.violations.join('; ')}\n  replay: SCARAB_SEED=${seed} npx vitest run test/simulation`
      // At once: whoever waits for the rest can look into it meanwhile.
      console.log(what)
      bad.push(what)
    }
    if (bad.length >= ENOUGH) break
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  if (played > 0)
    console.log(
      `${played} histories (seeds ${mine[0]} to ${mine[played - 1]}, every second one): ${steps} steps, ${jobs} jobs, ${crashes} crashes of the edge, ${seconds} s`,
    )
  expect(bad.join('\n'), `${bad.length} of ${played} histories broke an invariant`).toBe('')
  if (played >= MANY) expect([...struck].sort(), 'crashes at named fault points').toEqual([...FAULT_POINTS].sort())
}
