import { expect, setDefaultTimeout, test } from 'bun:test'
import type { z } from 'zod'
import type { Column } from '../../edge/contract/columns.ts'
import type { FailureClass } from '../../edge/contract/node.ts'
import { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Plan, Source } from '../engines/engine.ts'
import { EngineFault } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { announcement, Catalogue } from './catalogue.ts'
import type { PlanTask } from './describe.ts'
import { describeTasks } from './describe.ts'
import { parseTasks } from './parse.ts'

setDefaultTimeout(PATIENCE_MS)

const east: Source = { name: 'east', type: 'postgres', dsn: 'x', maxActive: 1 }
const west: Source = { name: 'west', type: 'postgres', dsn: 'x', maxActive: 1 }
const planOf = (...columns: Column[]): Plan => ({ columns, parameters: null, estimatedRows: null, estimatedBytes: null })
const fault = (kind: z.infer<typeof FailureClass>, message: string) => new EngineFault({ code: 'x', message, class: kind })
const describeOne = async (plan: PlanTask, { tags = '', sources = [] as Source[], secondsEach = 30 } = {}) => {
  const loaded = parseTasks('/a.sql', `-- name: a\n${tags}SELECT 1 AS n`, sources)
  const { tasks, problems } = await describeTasks({ tasks: loaded.tasks, sources, plan, secondsEach })
  return { task: tasks[0], problem: problems[0] }
}
const n: Column = { name: 'n', type: 'int' }

test('a task gets the columns that its source describes', async () => {
  const { task, problem } = await describeOne(async (_task, source) => planOf({ name: source.name, type: 'int' }))
  expect(task).toMatchObject({ columns: [{ name: 'duckdb', type: 'int' }], error: null, warnings: [] })
  expect(problem).toBeUndefined()
})

test('a raw task is not looked at', async () => {
  const { task } = await describeOne(() => Promise.reject(new Error('asked')), { tags: '-- raw: 1\n' })
  expect(task).toMatchObject({ columns: null, error: null })
})

test('a task that a source cannot describe now is announced with the reason', async () => {
  const { task, problem } = await describeOne(() => Promise.reject(fault('sql', 'relation "t" does not exist')))
  expect(task).toMatchObject({ columns: null, error: 'relation "t" does not exist' })
  expect(problem).toMatchObject({ severity: 'warning', task: 'a' })
  expect(task && AnnouncedTask.safeParse(announcement(task)).success).toBe(true)
})

test('an error of any length fits into the announcement', async () => {
  const { task } = await describeOne(() => Promise.reject(new Error('x'.repeat(10_000))))
  expect(task && AnnouncedTask.safeParse(announcement(task)).success).toBe(true)
})

test('a task whose columns hang on its arguments is announced without them and without an error', async () => {
  const { task, problem } = await describeOne(() => Promise.reject(fault('arguments', 'unknown without values')))
  expect(task).toMatchObject({ columns: null, error: null })
  expect(problem).toBeUndefined()
})

test('a result that cannot be kept is refused at load: by its types, or by its names', async () => {
  const byEngine = await describeOne(() => Promise.reject(fault('schema', 'column "x" has the type INTERVAL')))
  expect(byEngine).toMatchObject({
    task: undefined,
    problem: { severity: 'error', code: 'schema', message: 'column "x" has the type INTERVAL', line: 1 },
  })
  const byName = await describeOne(async () => planOf({ name: 'job_id', type: 'int' }))
  expect(byName.task).toBeUndefined()
  expect(byName.problem?.message).toContain('alias')
})

test('a refusal that is about a tag stands at its line', async () => {
  const tagged = await describeOne(() => Promise.reject(fault('schema', 'types: the query yields no column "v"')), {
    tags: '-- description: d\n-- types: v=int\n',
  })
  expect(tagged.problem).toMatchObject({ line: 3, message: 'types: the query yields no column "v"' })
})

test('a task of several sources is described on each, and refused where they differ', async () => {
  const asked: string[] = []
  const same = await describeOne(
    async (_task, source) => {
      asked.push(source.name)
      return planOf(n)
    },
    { sources: [east, west] },
  )
  expect(asked.sort()).toEqual(['east', 'west'])
  expect(same.task?.columns).toEqual([n])

  const differ = await describeOne(async (_task, source) => planOf({ ...n, type: source === east ? 'int' : 'long' }), {
    sources: [east, west],
  })
  expect(differ.task).toBeUndefined()
  expect(differ.problem?.message).toContain('east and west yield different columns: column 1 is "n" int against "n" long')
})

test('one source that is down does not hide what the other says', async () => {
  const plan: PlanTask = async (_task, source) => {
    if (source === west) throw fault('source', 'connection refused')
    return planOf(n)
  }
  const { task, problem } = await describeOne(plan, { sources: [east, west] })
  expect(task).toMatchObject({ columns: [n], error: null, warnings: ['not described on west: connection refused'] })
  expect(problem).toBeUndefined()
})

test('a source that never answers is given up after its time', async () => {
  const { task } = await describeOne(() => new Promise(() => {}), { secondsEach: 0.01 })
  expect(task?.error).toContain('no answer within 0.01 s')
})

test('a stop ends what is under way and what has not begun', async () => {
  const stop = new AbortController()
  const loaded = parseTasks('/a.sql', Array.from({ length: 10 }, (_, i) => `-- name: t${i}\nSELECT 1`).join('\n'), [])
  let asked = 0
  const plan: PlanTask = () => {
    asked += 1
    if (asked === 4) stop.abort()
    return new Promise(() => {})
  }
  const { tasks } = await describeTasks({ tasks: loaded.tasks, sources: [], plan, signal: stop.signal })
  expect(tasks.map((task) => task.error)).toEqual(Array.from({ length: 10 }, () => 'stopped'))
})

test('never more than four descriptions are under way, and the order stays', async () => {
  const loaded = parseTasks('/a.sql', Array.from({ length: 20 }, (_, i) => `-- name: t${i}\nSELECT 1`).join('\n'), [])
  let running = 0
  let most = 0
  const plan: PlanTask = async () => {
    running += 1
    most = Math.max(most, running)
    await Promise.resolve()
    running -= 1
    return planOf(n)
  }
  const { tasks } = await describeTasks({ tasks: loaded.tasks, sources: [], plan })
  expect(most).toBeLessThanOrEqual(4)
  expect(tasks.map((task) => String(task.name))).toEqual(loaded.tasks.map((task) => String(task.name)))
})

test('a catalogue finds a task by name, and by hash only the very same text', async () => {
  const loaded = parseTasks('/a.sql', '-- name: a\nSELECT 1', [])
  const catalogue = await new Catalogue(loaded).described({ sources: [], plan: async () => planOf(n) })
  const hash = loaded.tasks[0]?.hash ?? ''
  expect(catalogue.find('a', hash)?.columns).toEqual([n])
  expect(catalogue.find('a')?.hash).toBe(hash)
  expect(catalogue.find('a', '0'.repeat(64))).toBeNull()
  expect(catalogue.find('b')).toBeNull()
})

test('a catalogue that is described again, when its source is back, forgets the old faults', async () => {
  const loaded = parseTasks('/a.sql', '-- name: a\nSELECT 1\n-- name: b\nSELECT 2', [])
  const before = await new Catalogue(loaded).described({
    sources: [],
    plan: (task) => Promise.reject(task.name === 'a' ? new Error('down') : fault('schema', 'cannot be kept')),
  })
  expect(before.find('a')?.error).toBe('down')
  expect(before.find('b')).toBeNull()
  expect(before.problems).toHaveLength(2)
  const after = await before.described({ sources: [], plan: async () => planOf(n) })
  expect(after.problems).toEqual([])
  expect(after.tasks).toMatchObject([
    { error: null, columns: [n] },
    { error: null, columns: [n] },
  ])
})
