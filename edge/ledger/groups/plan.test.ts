import { describe, expect, it } from 'vitest'
import { GroupBody, MAX_NEEDS, MAX_STEPS } from '../../contract/groups.ts'
import { type PlanTask, planGroup } from './plan.ts'

const TASKS: Record<string, PlanTask> = {
  plain: { name: 'plain', params: [], arity: 0, db: [], columns: [{ name: 'n', type: 'long' }] },
  typed: {
    name: 'typed',
    params: [
      { name: 'since', type: 'date' },
      { name: 'least', type: 'int', default: 3 },
    ],
    arity: 2,
    db: ['shop'],
    columns: null,
  },
  bare: { name: 'bare', params: [], arity: 2, db: [], columns: null },
}
const plan = (body: unknown) => planGroup(GroupBody.parse(body), (name) => TASKS[name] ?? null)
const faults = (body: unknown): string[] => {
  const planned = plan(body)
  return planned.ok ? [] : planned.faults.map(({ path, message }) => `${path}: ${message}`)
}
const steps = (body: unknown) => {
  const planned = plan(body)
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
  return planned.steps
}

describe('a group', () => {
  it('is put in an order in which parents stand first', () => {
    const planned = steps({
      steps: {
        d: { task: 'plain', needs: ['b', 'c'] },
        b: { task: 'plain', needs: ['a'] },
        c: { task: 'plain', needs: ['a'] },
        a: { task: 'plain' },
        ok: { approval: {}, needs: ['d'] },
        undo: { task: 'plain', compensates: 'a' },
      },
      alert: { task: 'plain' },
    })
    const place = new Map(planned.map(({ plan: { name, ord } }) => [name as string, ord]))
    for (const { plan: one } of planned) for (const need of one.needs) expect(place.get(need)).toBeLessThan(one.ord)
    expect(planned.map(({ plan: { kind } }) => kind).sort()).toEqual(['alert', 'approval', 'compensation', 'job', 'job', 'job', 'job'])
    expect(new Set(place.values()).size).toBe(7)
  })

  it('of steps without needs is DungBeetle’s plain group', () => {
    expect(
      steps({ steps: { one: { task: 'plain' }, two: { task: 'typed', args: { since: '2026-01-02' } } } }).map(({ job }) => job?.args),
    ).toEqual([[], ['2026-01-02', 3]])
  })

  it('is refused whole, with the place of every fault', () => {
    expect(
      faults({
        steps: {
          a: { task: 'none', needs: ['a', 'x', 'b', 'b'] },
          b: { task: 'typed', args: ['soon'], db: 'other' },
          c: { task: 'plain', when: 'failed' },
        },
      }),
    ).toEqual([
      '/steps/a/needs/0: "a" cannot wait for itself.',
      '/steps/a/needs/1: There is no step "x".',
      '/steps/a/needs/3: "b" is named twice.',
      '/steps/a/task: No node that serves this tenant has announced a task "none". GET /v1/tasks lists them.',
      '/steps/b/db: The task "typed" runs on shop, not on "other".',
      '/steps/b/args: The parameter "since" of "typed" takes a date as YYYY-MM-DD, not "soon".',
      '/steps/c/when: "c" has no parents: nothing can fail before it.',
    ])
  })

  it('has no circle, of any length, and each is named once', () => {
    const circle = (length: number) => ({
      steps: Object.fromEntries(Array.from({ length }, (_, n) => [`s${n}`, { task: 'plain', needs: [`s${(n + 1) % length}`] }])),
    })
    expect(faults(circle(2))).toEqual(['/steps/s0/needs: These wait for each other: s0 → s1 → s0.'])
    expect(faults(circle(MAX_STEPS))).toHaveLength(1)
    expect(
      faults({
        steps: {
          in: { task: 'plain', needs: ['a'] },
          a: { task: 'plain', needs: ['b'] },
          b: { task: 'plain', needs: ['a'] },
          c: { task: 'plain', needs: ['d'] },
          d: { task: 'plain', needs: ['c'] },
        },
      }),
    ).toEqual(['/steps/a/needs: These wait for each other: a → b → a.', '/steps/c/needs: These wait for each other: c → d → c.'])
    expect(
      faults({ steps: { a: { task: 'plain' }, b: { task: 'plain', needs: ['a'] }, c: { task: 'plain', needs: ['a', 'b'] } } }),
    ).toEqual([])
  })

  it('has steps, and not too many, nor too many parents of one', () => {
    const many = (count: number, more: object = {}) => ({
      steps: Object.fromEntries(
        [...Array(count).keys()].map((n): [string, object] => [`s${n}`, { task: 'plain' }]).concat(Object.entries(more)),
      ),
    })
    expect(faults({ steps: {} })).toEqual(['/steps: A group has at least one step.'])
    expect(faults(many(MAX_STEPS))).toEqual([])
    expect(faults(many(MAX_STEPS + 1))).toEqual([`/steps: A group has at most ${MAX_STEPS} steps, not ${MAX_STEPS + 1}.`])
    const last = (parents: number) => many(60, { last: { task: 'plain', needs: [...Array(parents).keys()].map((n) => `s${n}`) } })
    expect(faults(last(MAX_NEEDS))).toEqual([])
    expect(() => faults(last(MAX_NEEDS + 1))).toThrow(/<=50 items/)
  })

  it('with an alert has no step of that name', () => {
    expect(faults({ steps: { alert: { task: 'plain' } }, alert: { task: 'plain' } })).toEqual([
      '/steps/alert: With "alert" a group has a step of that name already; name this one otherwise.',
    ])
    expect(faults({ steps: { alert: { task: 'plain' } } })).toEqual([])
  })
})

describe('an argument from a parent', () => {
  const from = (value: object, needs = ['a']) => ({
    steps: { a: { task: 'plain' }, ok: { approval: {} }, b: { task: 'typed', needs, args: { since: value, least: 4 } } },
  })

  it('leaves its place open and remembers its type', () => {
    const step = steps(from({ from: 'a', column: 'n' })).find(({ plan: { name } }) => name === 'b')
    expect(step?.job?.args).toEqual([null, 4])
    expect(step?.plan.references).toEqual([{ index: 0, from: 'a', column: 'n', param: 'since', type: 'date' }])
    const listed = steps({ steps: { a: { task: 'plain' }, b: { task: 'bare', needs: ['a'], args: [1, { from: 'a', column: 'n' }] } } })
    expect(listed.at(-1)?.plan.references).toEqual([{ index: 1, from: 'a', column: 'n', param: '$2', type: null }])
  })

  it('and a wait for the table are known to the parent', () => {
    const planned = steps({
      steps: {
        a: { task: 'plain' },
        b: { task: 'typed', needs: ['a'], args: { since: { from: 'a', column: 'n' }, least: { from: 'a', column: 'n' } } },
        c: { task: 'plain', needs: ['a', 'b'], after: 'published' },
        d: { task: 'plain', needs: ['c'] },
      },
    })
    expect(planned.map(({ plan: { name, wanted, awaited } }) => [name, wanted, awaited])).toEqual([
      ['a', ['n'], true],
      ['b', [], true],
      ['c', [], false],
      ['d', [], false],
    ])
  })

  it('comes from a job that the step waits for itself, and from a column that there is', () => {
    expect(faults(from({ from: 'a', column: 'n' }, []))).toEqual([
      '/steps/b/args/since/from: "a" brings no values here: only a step among its "needs" does.',
    ])
    expect(faults(from({ from: 'ok', column: 'n' }, ['ok']))).toEqual([
      '/steps/b/args/since/from: "ok" is an approval, which has no result.',
    ])
    expect(faults(from({ from: 'a', column: 'm' }))).toEqual([
      '/steps/b/args/since/column: The result of "plain" has no column "m"; it has "n".',
    ])
    expect(faults({ steps: { a: { task: 'plain' } }, alert: { task: 'bare', args: [1, { from: 'a', column: 'n' }] } })).toEqual([
      '/alert/args/1/from: "a" brings no values here: an alert has no parents.',
    ])
    expect(
      faults({ steps: { a: { task: 'plain' }, b: { task: 'typed', needs: ['a'], args: { no: { from: 'a', column: 'n' } } } } }),
    ).toEqual(['/steps/b/args: The task "typed" has no parameter "no"; it has since, least.'])
  })
})

describe('a compensation', () => {
  const undo = (change: object) => ({
    steps: { a: { task: 'plain' }, ok: { approval: {} }, undo: { task: 'bare', args: [1, 2], ...change } },
  })

  it('undoes a job and may take its values', () => {
    expect(faults(undo({ compensates: 'a', args: [1, { from: 'a', column: 'n' }] }))).toEqual([])
  })

  it('undoes neither an approval nor a compensation nor what is not there, and waits for nothing', () => {
    expect(faults(undo({ compensates: 'ok' }))).toEqual(['/steps/undo/compensates: "ok" is an approval: there is nothing to undo.'])
    expect(faults(undo({ compensates: 'undo' }))).toEqual(['/steps/undo/compensates: "undo" is a compensation itself.'])
    expect(faults(undo({ compensates: 'x' }))).toEqual(['/steps/undo/compensates: There is no step "x".'])
    expect(faults(undo({ compensates: 'a', needs: ['ok'] }))).toEqual([
      '/steps/undo/needs: A compensation waits for nothing: it runs when its step is to be undone.',
    ])
    expect(faults(undo({ compensates: 'a', when: 'always' }))).toEqual(['/steps/undo: A compensation has no "when" and no "after".'])
    expect(
      faults({ steps: { a: { task: 'plain' }, undo: { task: 'plain', compensates: 'a' }, b: { task: 'plain', needs: ['undo'] } } }),
    ).toEqual(['/steps/b/needs/0: "undo" undoes a step: nothing can wait for it.'])
  })
})
