import { expect, it } from 'vitest'
import { PoolName, QueueName, TaskName } from '../contract/ids.ts'
import { commit } from './context.ts'
import { HOLDER, nodeTask, POOL, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { offer } from './leases.ts'
import { STRANDED_AFTER_SECONDS, STRANDED_JOBS, STRANDED_TASKS } from './limits.ts'
import { type LookedAt, type PoolsOf, rescueStranded } from './stranded.ts'
import { type Submission, submit } from './submit.ts'

const NEW = PoolName.parse('new')
const A = TaskName.parse('a')
const B = TaskName.parse('b')

const bench = () => {
  const ledger = testLedger()
  const { context } = ledger
  const asked: string[][] = []
  const pools: Record<string, PoolName[]> = {}
  const looked: LookedAt = { offset: 0 }
  const ask: PoolsOf = async (names) => {
    asked.push(names)
    return names.map((name) => pools[name] ?? [])
  }
  return {
    ...ledger,
    asked,
    pools,
    ask,
    looked,
    take: (change: Partial<Submission> = {}): string => {
      const answer = commit(context, (inner) => submit(inner, submission({ task: A, ...change }), 0))
      if (!answer.ok) throw new Error(answer.detail)
      return answer.job.id
    },
    look: (one: PoolsOf = ask) => rescueStranded(context, looked, one, (body) => commit(context, body)),
    poolOf: (id: string) => findJob(context, id)?.pool,
  }
}

it('a job that waits where no node of its task is left follows its task, and its new lane is announced', async () => {
  const { context, pools, pass, take, look, poolOf, effects } = bench()
  const id = take()
  const other = take({ task: B })
  pools.a = [NEW]
  pools.b = [POOL, NEW]
  pass(STRANDED_AFTER_SECONDS * 1000)
  effects.length = 0
  expect(await look()).toBe(1)
  expect([poolOf(id), poolOf(other)]).toEqual(['new', 'default'])
  expect(effects).toMatchObject([{ kind: 'ready', pool: 'new', queue: 'default', seq: 1 }])
  const known = nodeTask('a')
  const taken = commit(context, (inner) => offer(inner, { ...request(HOLDER, 10, { a: known, b: known }), pool: NEW }))
  expect(taken.offers.map(({ job }) => job)).toEqual([id])
  const left = commit(context, (inner) => offer(inner, request(HOLDER, 10, { a: known, b: known })))
  expect(left.offers.map(({ job }) => job)).toEqual([other])
})

it('one whose task is nowhere stays where it is, and so does one that has not waited long', async () => {
  const { asked, pools, pass, take, look, poolOf } = bench()
  const id = take()
  expect(await look()).toBe(0)
  pass(STRANDED_AFTER_SECONDS * 1000 - 1)
  expect(await look()).toBe(0)
  expect(asked).toEqual([])
  pass(1)
  expect(await look()).toBe(0)
  expect(asked).toEqual([['a']])
  pools.a = [NEW]
  expect(await look()).toBe(1)
  expect(poolOf(id)).toBe('new')
})

it('one that was offered while the directory was asked stays with its node', async () => {
  const { context, pass, take, look, poolOf } = bench()
  const id = take()
  pass(STRANDED_AFTER_SECONDS * 1000)
  const moved = look(async () => {
    commit(context, (inner) => offer(inner, request(HOLDER, 1, { a: nodeTask('a') })))
    return [[NEW]]
  })
  expect(await moved).toBe(0)
  expect(poolOf(id)).toBe('default')
})

it('looks at so many at once, and at the next ones the next time', async () => {
  const { context, asked, pools, pass, take, look, looked } = bench()
  const early = QueueName.parse('early')
  const id = take({ task: B, queue: QueueName.parse('late') })
  const first = take({ queue: early })
  commit(context, ({ store }) => {
    const columns = store.all<{ name: string }>(`SELECT name FROM pragma_table_info('jobs') WHERE name <> 'id'`).map(({ name }) => name)
    store.run(
      `INSERT INTO jobs (id, ${columns.join()}) SELECT 'x' || value, ${columns.join()} FROM jobs, json_each(?) WHERE jobs.id = ?`,
      JSON.stringify([...Array(STRANDED_JOBS).keys()]),
      first,
    )
  })
  pools.b = [NEW]
  pass(STRANDED_AFTER_SECONDS * 1000)
  expect(await look()).toBe(0)
  expect([asked.at(-1), looked.offset]).toEqual([['a'], STRANDED_JOBS])
  expect(await look()).toBe(1)
  expect(looked.offset).toBe(0)
  expect(findJob(context, id)?.pool).toBe('new')
})

it('asks about so many tasks at once, and about the next ones the next time', async () => {
  const { asked, pass, take, look } = bench()
  for (let n = 0; n <= STRANDED_TASKS; n++) take({ task: TaskName.parse(`t${n}`) })
  pass(STRANDED_AFTER_SECONDS * 1000)
  await look()
  await look()
  expect(asked.map((names) => names.length)).toEqual([STRANDED_TASKS, 1])
  expect(new Set(asked.flat()).size).toBe(STRANDED_TASKS + 1)
})
