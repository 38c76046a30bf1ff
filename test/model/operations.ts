/** What a client asks for. `twin`: 0 is like no other job; equal ones may share an execution. Times in seconds. */
export interface Ask {
  twin: number
  reuse: number | null
  lane: number
  priority: number
  weight: number
  eta: number | null
  ttl: number | null
  tries: number | null
  retention: number | null
  alias: number
  key: number
  /** Of the task as the client knew it: 0 unknown, so that any will do. */
  signature: number
}

export const SAYINGS = ['accept', 'begin', 'start', 'complete', 'fail', 'hand_back', 'stopped'] as const
export type Saying = (typeof SAYINGS)[number]
export const CLASSES = ['lost', 'overloaded', 'sql', 'source', 'limit', 'cancelled', 'internal'] as const
export const DEEDS = ['cancel', 'approve', 'reject', 'remove'] as const

/**
 * One thing that happens to a ledger. Numbers choose among what is there at that moment, the newest first: so an operation
 * means something whatever came before it, and a list of them can be cut anywhere.
 */
export type Operation =
  /** Several asks are a batch: one transaction. */
  | { do: 'submit'; asks: Ask[] }
  /** `of`: one that a node holds, or one that shares another's execution, where there is any. */
  | { do: 'cancel'; of: 'any' | 'held' | 'joined'; job: number }
  | { do: 'remove' | 'retry' | 'purge'; job: number }
  | { do: 'offer'; holder: number; lane: number; want: number; knows: number; fresh: boolean; next: 'nothing' | 'accept' | 'begin' }
  /** A message of a node about a lease that it has, or (`late`) had, or (`as`) never had: late, twice, or in another order. */
  | { do: 'say'; what: Saying; lease: number; late: boolean; as: number | null; class: (typeof CLASSES)[number] }
  | { do: 'end' | 'renew'; holder: number }
  /** The session is back: what it says it holds is every lease of it of which `keeps` has the bit. */
  | { do: 'resume'; holder: number; keeps: number; runs: number }
  | { do: 'table'; row: number; outcome: 'published' | 'rejected'; twice: boolean }
  | { do: 'wait'; ms: number }
  /** A new life of the object. */
  | { do: 'restart' }
  /** The pool does not hear announcements, or hears them again. */
  | { do: 'deaf'; deaf: boolean }
  | { do: 'queue'; lane: number; paused: boolean; concurrency: number | null }
  | { do: 'group'; shape: number }
  | { do: 'deed'; group: number; deed: (typeof DEEDS)[number]; step: number }
  | { do: 'schedule'; overlap: 'skip' | 'queue' | 'cancel' | 'allow'; missed: 'skip' | 'latest' | 'all' }
  | { do: 'unschedule' }

/** An operation whose transaction may be rolled back at its end, as if the disk had been full. */
export type Happening = Operation & { fails?: true }

/** Mulberry32: a random number below `limit`. */
export const dice = (seed: number) => {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}
export type Dice = ReturnType<typeof dice>

const PLAIN: Ask = {
  twin: 0,
  reuse: null,
  lane: 0,
  priority: 0,
  weight: 1,
  eta: null,
  ttl: null,
  tries: null,
  retention: null,
  alias: 0,
  key: 0,
  signature: 0,
}

const pickFrom = <T>(roll: Dice, list: readonly T[]): T => {
  const picked = list[roll(list.length)]
  if (picked === undefined) throw new Error('nothing to pick from')
  return picked
}

/** What the clients of one sequence are given to: the fewer things come together, the deeper a sequence gets into them. */
type Habits = Record<keyof Ask, boolean>
const habitsOf = (roll: Dice): Habits => {
  const some = (of: number): boolean => roll(of) === 0
  return {
    twin: !some(4),
    reuse: some(4),
    lane: some(3),
    priority: some(2),
    weight: some(3),
    eta: some(4),
    ttl: some(3),
    tries: some(3),
    retention: some(4),
    alias: some(4),
    key: some(4),
    signature: some(3),
  }
}

/** Nothing but jobs that are alike, in two lanes, which may expire. */
const SHARING: Habits = {
  twin: true,
  reuse: false,
  lane: true,
  priority: true,
  weight: false,
  eta: false,
  ttl: true,
  tries: false,
  retention: false,
  alias: false,
  key: false,
  signature: false,
}

const ask = (roll: Dice, has: Habits): Ask => ({
  twin: has.twin ? pickFrom(roll, [0, 1, 1, 1, 1, 2]) : 0,
  reuse: has.reuse && roll(2) === 0 ? pickFrom(roll, [1, 30, 3_600]) : null,
  lane: has.lane && roll(3) === 0 ? 1 : 0,
  priority: has.priority ? pickFrom(roll, [0, 0, 5, -3]) : 0,
  weight: has.weight ? pickFrom(roll, [1, 1, 3]) : 1,
  eta: has.eta && roll(3) === 0 ? pickFrom(roll, [0, 2, 40, 3_600]) : null,
  ttl: has.ttl && roll(2) === 0 ? pickFrom(roll, [1, 5, 30, 600]) : null,
  tries: has.tries && roll(2) === 0 ? pickFrom(roll, [1, 1, 2]) : null,
  retention: has.retention && roll(2) === 0 ? pickFrom(roll, [0, 20, 900]) : null,
  alias: has.alias && roll(2) === 0 ? 1 + roll(2) : 0,
  key: has.key && roll(2) === 0 ? 1 + roll(3) : 0,
  signature: has.signature ? pickFrom(roll, [0, 0, 1, 2]) : 0,
})

/** Mostly the newest. */
const recent = (roll: Dice): number => pickFrom(roll, [0, 0, 0, 1, 1, 2, 3, roll(12)])

type Maker = (roll: Dice, has: Habits) => Operation

/** How often each comes, if it comes at all; `always` does. */
const MAKERS: readonly (readonly [number, 'always' | 'often' | 'seldom', Maker])[] = [
  [14, 'always', (roll, has) => ({ do: 'submit', asks: Array.from({ length: pickFrom(roll, [1, 1, 1, 2, 4]) }, () => ask(roll, has)) })],
  [
    18,
    'always',
    (roll, has) => ({
      do: 'offer',
      holder: roll(3),
      lane: has.lane && roll(3) === 0 ? 1 : 0,
      want: pickFrom(roll, [0, 1, 1, 2, 2, 5]),
      knows: has.signature ? 1 + roll(2) : 1,
      fresh: has.signature && roll(3) === 0,
      next: pickFrom(roll, ['nothing', 'accept', 'begin', 'begin', 'begin'] as const),
    }),
  ],
  [
    24,
    'always',
    (roll) => ({
      do: 'say',
      what: pickFrom(roll, [...SAYINGS, 'begin', 'complete', 'complete', 'fail', 'stopped'] as const),
      lease: roll(6),
      late: roll(4) === 0,
      as: roll(8) === 0 ? roll(3) : null,
      class: pickFrom(roll, [...CLASSES, 'lost', 'lost'] as const),
    }),
  ],
  [10, 'often', (roll) => ({ do: 'cancel', of: pickFrom(roll, ['any', 'held', 'joined'] as const), job: roll(12) })],
  [3, 'often', (roll) => ({ do: 'remove', job: recent(roll) })],
  [3, 'often', (roll) => ({ do: 'retry', job: recent(roll) })],
  [3, 'often', (roll) => ({ do: 'purge', job: recent(roll) })],
  [3, 'often', (roll) => ({ do: 'end', holder: roll(3) })],
  [2, 'often', (roll) => ({ do: 'renew', holder: roll(3) })],
  [4, 'often', (roll) => ({ do: 'resume', holder: roll(3), keeps: roll(256), runs: roll(256) })],
  [8, 'often', (roll) => ({ do: 'table', row: roll(3), outcome: roll(5) === 0 ? 'rejected' : 'published', twice: roll(5) === 0 })],
  [10, 'often', (roll) => ({ do: 'wait', ms: pickFrom(roll, [1, 1_000, 1_000, 2_500, 5_000, 6_000, 16_000, 31_000]) })],
  [2, 'often', (roll) => ({ do: 'wait', ms: pickFrom(roll, [61_000, 151_000, 160_000, 1_000_000]) })],
  [4, 'often', () => ({ do: 'restart' })],
  [2, 'seldom', (roll) => ({ do: 'deaf', deaf: roll(2) === 0 })],
  [6, 'seldom', (roll) => ({ do: 'queue', lane: roll(2), paused: roll(3) === 0, concurrency: pickFrom(roll, [null, 1, 2]) })],
  [5, 'seldom', (roll) => ({ do: 'group', shape: roll(1_000_000) })],
  [6, 'seldom', (roll) => ({ do: 'deed', group: roll(3), deed: pickFrom(roll, DEEDS), step: roll(6) })],
  [
    4,
    'seldom',
    (roll) => ({
      do: 'schedule',
      overlap: pickFrom(roll, ['skip', 'queue', 'cancel', 'allow'] as const),
      missed: pickFrom(roll, ['skip', 'latest', 'all'] as const),
    }),
  ],
  [1, 'seldom', () => ({ do: 'unschedule' })],
]
const COMES = { always: () => true, often: (roll: Dice) => roll(4) > 0, seldom: (roll: Dice) => roll(4) === 0 }

/** The sequence of a seed: the same each time. */
export const sequence = (seed: number): Happening[] => {
  const roll = dice(seed)
  const has = roll(4) === 0 ? SHARING : habitsOf(roll)
  const bag = MAKERS.flatMap(([weight, comes, make]) => (COMES[comes](roll) ? Array<Maker>(weight).fill(make) : []))
  return Array.from({ length: 8 + roll(35) }, () => {
    const operation = pickFrom(roll, bag)(roll, has)
    return roll(40) === 0 ? { ...operation, fails: true } : operation
  })
}

/** The same with less in it, for whoever has to read what failed. */
export const simpler = (happening: Happening): Happening[] => {
  const { fails, ...operation } = happening
  const less: Happening[] = fails ? [operation] : []
  if (operation.do === 'submit') {
    const { asks } = operation
    for (let i = 0; asks.length > 1 && i < asks.length; i++) less.push({ ...happening, ...operation, asks: asks.toSpliced(i, 1) })
    asks.forEach((one, i) => {
      for (const name of Object.keys(PLAIN) as (keyof Ask)[])
        if (one[name] !== PLAIN[name]) less.push({ ...operation, asks: asks.with(i, { ...one, [name]: PLAIN[name] }) })
    })
  }
  if (operation.do === 'wait' && operation.ms > 1_000) less.push({ ...operation, ms: 1_000 })
  if (operation.do === 'offer' && operation.want > 1) less.push({ ...operation, want: 1 })
  if (operation.do === 'say' && operation.as !== null) less.push({ ...operation, as: null })
  return less
}

/** As JSON, without what is as it is by default. */
export const brief = (happening: Happening): string =>
  JSON.stringify(happening, (name, value: unknown) => (name in PLAIN && value === PLAIN[name as keyof Ask] ? undefined : value))
