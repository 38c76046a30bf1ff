import { describe, expect, it } from 'vitest'
import { type Action, decide, type GroupView, type Outcome, type StepView } from './decide.ts'

const step = (name: string, change: Partial<StepView> = {}): StepView => ({
  name,
  kind: 'job',
  ord: 0,
  needs: [],
  when: 'succeeded',
  after: 'result',
  compensates: null,
  phase: 'idle',
  outcome: null,
  published: null,
  valued: true,
  stopping: false,
  ...change,
})
const ended = (name: string, outcome: Outcome = 'ok', change: Partial<StepView> = {}): StepView =>
  step(name, { phase: 'ended', outcome, ...change })
const RUNNING: GroupView = { state: 'running', stop: null, overdue: false }
const told = (steps: StepView[], group = RUNNING): string[] =>
  decide(group, steps).map((action) =>
    action.do === 'enter' ? action.state : `${action.do} ${action.step}${action.do === 'skip' ? ` ${action.because}` : ''}`,
  )

describe('a step', () => {
  it('without parents is released at once, all of them together', () => {
    expect(told([step('a'), step('b'), step('c', { kind: 'approval' })])).toEqual(['release a', 'release b', 'ask c'])
  })

  it('waits until all its parents have ended, whatever it waits for', () => {
    for (const when of ['succeeded', 'failed', 'always'] as const)
      expect(told([ended('a', 'bad'), step('b', { phase: 'live' }), step('c', { needs: ['a', 'b'], when })])).toEqual([])
  })

  const outcomes: [StepView['when'], Outcome[], string][] = [
    ['succeeded', ['ok', 'ok'], 'release c'],
    ['succeeded', ['ok', 'bad'], 'skip c upstream_failed'],
    ['succeeded', ['neutral', 'bad'], 'skip c upstream_failed'],
    ['succeeded', ['ok', 'neutral'], 'skip c condition_not_met'],
    ['failed', ['ok', 'bad'], 'release c'],
    ['failed', ['ok', 'ok'], 'skip c condition_not_met'],
    ['failed', ['neutral', 'neutral'], 'skip c condition_not_met'],
    ['always', ['bad', 'bad'], 'release c'],
    ['always', ['neutral', 'ok'], 'release c'],
  ]
  it.each(outcomes)('that runs when %s sees %j: %s', (when, [a = 'ok', b = 'ok'], expected) => {
    expect(told([ended('a', a), ended('b', b), step('c', { needs: ['a', 'b'], when })])).toEqual([expected])
  })

  it('that was skipped behind a failure counts as failed, one whose condition did not hold does not', () => {
    expect(decide(RUNNING, [ended('a', 'bad'), step('b', { needs: ['a'] })])).toContainEqual(
      expect.objectContaining({ do: 'skip', step: 'b', outcome: 'bad' }),
    )
    expect(decide(RUNNING, [ended('a'), step('b', { needs: ['a'], when: 'failed' })])).toContainEqual(
      expect.objectContaining({ do: 'skip', step: 'b', outcome: 'neutral' }),
    )
  })

  it('that wants its parent published waits for the table, and a refusal there is a failure', () => {
    const child = step('b', { needs: ['a'], after: 'published' })
    expect(told([ended('a'), child])).toEqual([])
    expect(told([ended('a', 'ok', { published: 'ok' }), child])).toEqual(['release b'])
    expect(told([ended('a', 'ok', { published: 'bad' }), child])).toEqual(['skip b upstream_failed'])
    expect(told([ended('a', 'ok', { published: 'bad' }), { ...child, when: 'failed' }])).toEqual(['release b'])
  })

  it('waits until the values of its parent have been copied', () => {
    expect(told([ended('a', 'ok', { valued: false }), step('b', { needs: ['a'] })])).toEqual([])
    expect(told([ended('a', 'bad', { valued: false }), step('b', { needs: ['a'], when: 'failed' })])).toEqual(['release b'])
  })
})

describe('a group', () => {
  const undo = (name: string, compensates: string, change: Partial<StepView> = {}): StepView =>
    step(name, { kind: 'compensation', compensates, ...change })
  const alert = step('alert', { kind: 'alert' })

  it('succeeds when all has ended and nothing failed; what was for the other case is skipped', () => {
    expect(told([ended('a'), ended('b', 'neutral'), undo('u', 'a'), alert])).toEqual([
      'skip u not_needed',
      'skip alert not_needed',
      'succeeded',
    ])
  })

  it('fails when any step failed, also when another one dealt with it', () => {
    expect(told([ended('a', 'bad'), ended('b', 'ok', { needs: ['a'], when: 'failed' })])).toEqual(['failed'])
    expect(told([ended('a', 'ok', { published: 'bad' })])).toEqual(['failed'])
  })

  it('undoes only what succeeded, one after the other, the last first, and alerts beside it', () => {
    const failed = [ended('a', 'ok', { ord: 0 }), ended('b', 'ok', { ord: 1 }), ended('c', 'bad', { ord: 2 })]
    const idle = [undo('ua', 'a'), undo('ub', 'b'), undo('uc', 'c'), alert]
    expect(told([...failed, ...idle])).toEqual(['skip uc not_needed', 'compensating'])
    const group: GroupView = { state: 'compensating', stop: null, overdue: false }
    const skipped = undo('uc', 'c', { phase: 'ended', outcome: 'neutral' })
    expect(told([...failed, undo('ua', 'a'), undo('ub', 'b'), skipped, alert], group)).toEqual(['release alert', 'release ub'])
    expect(told([...failed, undo('ua', 'a'), undo('ub', 'b', { phase: 'live' }), skipped, { ...alert, phase: 'live' }], group)).toEqual([])
    const done = undo('ub', 'b', { phase: 'ended', outcome: 'bad' })
    expect(told([...failed, undo('ua', 'a'), done, skipped, { ...alert, phase: 'live' }], group)).toEqual(['release ua'])
    const last = undo('ua', 'a', { phase: 'ended', outcome: 'ok' })
    expect(told([...failed, last, done, skipped, { ...alert, phase: 'live' }], group)).toEqual([])
    expect(told([...failed, last, done, skipped, { ...alert, phase: 'ended', outcome: 'ok' }], group)).toEqual(['failed'])
  })

  it('that is cancelled stops what is left once, undoes what succeeded, and does not alert', () => {
    const group: GroupView = { state: 'running', stop: 'cancel', overdue: false }
    expect(told([ended('a'), step('b', { phase: 'live' }), step('c', { needs: ['b'] })], group)).toEqual(['cancel b', 'cancel c'])
    expect(told([ended('a'), step('b', { phase: 'live', stopping: true }), ended('c', 'bad')], group)).toEqual([])
    expect(told([ended('a'), ended('b', 'bad'), undo('u', 'a'), alert], group)).toEqual(['skip alert not_needed', 'compensating'])
    expect(
      told([ended('a'), ended('b', 'bad'), ended('u', 'ok', { kind: 'compensation', compensates: 'a' })], {
        state: 'compensating',
        stop: 'cancel',
        overdue: false,
      }),
    ).toEqual(['cancelled'])
  })

  it('whose deadline has passed fails and alerts', () => {
    expect(told([ended('a', 'bad'), alert], { state: 'running', stop: 'deadline', overdue: false })).toEqual(['compensating'])
    expect(told([ended('a')], { state: 'running', stop: 'deadline', overdue: false })).toEqual(['failed'])
  })

  it('whose undoing has had its time stops what is left of it once, and ends when that has', () => {
    const group: GroupView = { state: 'compensating', stop: null, overdue: true }
    const failed = [ended('a'), ended('b', 'bad')]
    const live = undo('ub', 'b', { phase: 'live' })
    expect(told([...failed, live, undo('ua', 'a'), { ...alert, phase: 'live' }], group)).toEqual(['cancel ub', 'cancel ua', 'cancel alert'])
    expect(told([...failed, { ...live, stopping: true }, { ...alert, phase: 'ended', outcome: 'bad' }], group)).toEqual([])
    expect(told([...failed, { ...live, phase: 'ended', outcome: 'bad' }], group)).toEqual(['failed'])
  })

  it('that has ended does nothing more', () => {
    for (const state of ['succeeded', 'failed', 'cancelled'] as const)
      expect(told([step('a'), alert], { state, stop: null, overdue: false })).toEqual([])
  })
})

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

interface Case {
  steps: StepView[]
  /** What a step's job (or person) makes of it when it runs, and its table of the result. */
  fate: Map<string, { ends: 'ok' | 'bad'; published: 'ok' | 'bad' }>
}

const randomCase = (roll: (limit: number) => number): Case => {
  const main = Array.from({ length: 1 + roll(8) }, (_, n) =>
    step(`s${n}`, {
      ord: n,
      kind: roll(5) === 0 ? 'approval' : 'job',
      needs: Array.from({ length: n }, (_, m) => `s${m}`).filter(() => roll(3) === 0),
      when: (['succeeded', 'succeeded', 'failed', 'always'] as const)[roll(4)] ?? 'always',
      after: roll(4) === 0 ? 'published' : 'result',
    }),
  )
  const undo = main.flatMap((one) =>
    one.kind === 'job' && roll(3) === 0 ? [step(`u-${one.name}`, { kind: 'compensation', compensates: one.name, ord: one.ord })] : [],
  )
  const steps = [...main, ...undo, ...(roll(2) === 0 ? [step('alert', { kind: 'alert', ord: 99 })] : [])]
  return {
    steps,
    fate: new Map(steps.map(({ name }) => [name, { ends: roll(4) === 0 ? 'bad' : 'ok', published: roll(6) === 0 ? 'bad' : 'ok' }])),
  }
}

/** The rules once more, by recursion over the finished graph instead of by events. */
const naive = ({ steps, fate }: Case) => {
  const main = steps.filter(({ kind }) => kind === 'job' || kind === 'approval')
  const known = new Map<string, { ran: boolean; outcome: Outcome }>()
  const of = (name: string): { ran: boolean; outcome: Outcome } => {
    const before = known.get(name)
    if (before) return before
    const one = main.find((other) => other.name === name)
    if (!one) throw new Error(name)
    const parents = one.needs.map((need) => {
      const { outcome } = of(need)
      return outcome === 'ok' && one.after === 'published' ? publishedOf(need) : outcome
    })
    const bad = parents.includes('bad')
    const runs = one.when === 'always' || (one.when === 'failed' ? bad : parents.every((outcome) => outcome === 'ok'))
    const answer = {
      ran: runs,
      outcome: runs ? (fate.get(name)?.ends ?? 'ok') : one.when === 'succeeded' && bad ? ('bad' as const) : ('neutral' as const),
    }
    known.set(name, answer)
    return answer
  }
  const publishedOf = (name: string): 'ok' | 'bad' =>
    steps.find((one) => one.name === name)?.kind === 'approval' ? 'ok' : (fate.get(name)?.published ?? 'ok')
  const isAwaited = (name: string): boolean => main.some(({ needs, after }) => after === 'published' && needs.includes(name))
  const failed = main.some(
    ({ name }) => of(name).outcome === 'bad' || (of(name).outcome === 'ok' && isAwaited(name) && publishedOf(name) === 'bad'),
  )
  const ran = (one: StepView): boolean =>
    one.kind === 'alert' ? failed : one.compensates !== null ? failed && of(one.compensates).outcome === 'ok' : of(one.name).ran
  return { state: failed ? 'failed' : 'succeeded', ran: new Map(steps.map((one) => [one.name, ran(one)])) }
}

/** Plays a case in a random order of events; checks at each action that it may be taken. Answers what ran, in order. */
const play = ({ steps, fate }: Case, roll: (limit: number) => number, stopAfter: number | null) => {
  const now = new Map(steps.map((one) => [one.name, { ...one }]))
  const get = (name: string): StepView => {
    const one = now.get(name)
    if (!one) throw new Error(name)
    return one
  }
  const put = (name: string, change: Partial<StepView>): void => {
    now.set(name, { ...get(name), ...change })
  }
  const end = (name: string, outcome: Outcome): void => {
    expect(get(name).phase, `${name} ends once`).not.toBe('ended')
    put(name, { phase: 'ended', outcome, ...(get(name).kind === 'approval' ? { published: 'ok' } : {}) })
  }
  const group: { state: GroupView['state']; stop: GroupView['stop'] } = { state: 'running', stop: null }
  const ran: string[] = []
  const perform = (action: Action): void => {
    if (action.do === 'enter') {
      group.state = action.state
      return
    }
    const one = get(action.step)
    if (action.do === 'cancel') {
      expect(group.stop).not.toBeNull()
      if (one.phase === 'idle') end(action.step, 'bad')
      else put(action.step, { stopping: true })
    } else {
      expect(one.phase, `${action.step} is decided once`).toBe('idle')
      if (action.do === 'skip') end(action.step, action.outcome)
      else {
        for (const need of one.needs) expect(get(need).phase, `${need} before ${action.step}`).toBe('ended')
        if (group.stop !== null) expect(one.kind).not.toMatch(/job|approval/)
        if (one.compensates !== null) for (const other of now.values()) if (other.compensates !== null) expect(other.phase).not.toBe('live')
        put(action.step, { phase: 'live' })
        ran.push(action.step)
      }
    }
  }
  for (let turn = 0; ; turn++) {
    if (turn === stopAfter && group.state === 'running') group.stop = 'cancel'
    for (
      let actions = decide({ ...group, overdue: false }, [...now.values()]);
      actions.length > 0;
      actions = decide({ ...group, overdue: false }, [...now.values()])
    )
      actions.forEach(perform)
    const open: (() => void)[] = []
    for (const { name, kind, phase, outcome, published, stopping } of now.values()) {
      if (phase === 'live') open.push(() => end(name, stopping ? 'bad' : (fate.get(name)?.ends ?? 'ok')))
      const isAwaited = steps.some(({ needs, after }) => after === 'published' && needs.includes(name))
      if (kind === 'job' && outcome === 'ok' && published === null && isAwaited)
        open.push(() => put(name, { published: fate.get(name)?.published ?? 'ok' }))
    }
    const next = open[roll(Math.max(1, open.length))]
    if (!next || !['running', 'compensating'].includes(group.state)) break
    next()
  }
  return { state: group.state, steps: [...now.values()], ran }
}

describe('random groups', () => {
  it('end as a naive reading of the rules says, whatever the order of events', () => {
    for (let seed = 1; seed <= 4_000; seed++) {
      const roll = dice(seed)
      const one = randomCase(roll)
      const wanted = naive(one)
      const played = play(one, roll, null)
      expect(played.state, `seed ${seed}`).toBe(wanted.state)
      for (const { name, phase } of played.steps) {
        expect(phase, `seed ${seed}: ${name}`).toBe('ended')
        expect(played.ran.includes(name), `seed ${seed}: ${name} ran`).toBe(wanted.ran.get(name))
      }
      // Undone backwards.
      const undone = played.ran.filter((name) => name.startsWith('u-')).map((name) => Number(name.slice(3)))
      expect(undone, `seed ${seed}`).toEqual([...undone].sort((a, b) => b - a))
    }
  })

  it('end when they are cancelled at any moment, with what had succeeded undone', () => {
    for (let seed = 1; seed <= 4_000; seed++) {
      const roll = dice(seed)
      const one = randomCase(roll)
      const played = play(one, roll, roll(10))
      for (const { name, phase, outcome, compensates } of played.steps) {
        expect(phase, `seed ${seed}: ${name}`).toBe('ended')
        if (compensates !== null && played.state === 'cancelled')
          expect(played.ran.includes(name), `seed ${seed}: ${name}`).toBe(
            played.steps.find((other) => other.name === compensates)?.outcome === 'ok',
          )
        expect(outcome).not.toBeNull()
      }
      expect(['succeeded', 'failed', 'cancelled'], `seed ${seed}`).toContain(played.state)
    }
  })
})
