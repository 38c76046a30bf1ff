import { expect, test } from 'vitest'
import { HOLDER, nodeTask, request } from './fixture.ts'
import { KnownTasks, type OfferAsk } from './known-tasks.ts'

const { tasks, ...asked } = request(HOLDER)
const ask = (more: Partial<OfferAsk>): OfferAsk => ({ ...asked, ...more })

test('a list that was told once is known by its version, of that session only', () => {
  const known = new KnownTasks()
  expect(known.resolve(ask({ tasks_version: 'v1' }))).toBeNull()
  expect(known.resolve(ask({ tasks, tasks_version: 'v1' }))).toEqual({ ...asked, tasks })
  expect(known.resolve(ask({ tasks_version: 'v1' }))).toEqual({ ...asked, tasks })
  expect(known.resolve(ask({ tasks_version: 'v2' }))).toBeNull()
  expect(known.resolve(ask({ tasks_version: 'v1', session: 's-other' as OfferAsk['session'] }))).toBeNull()
})

test('a new list takes the place of the old one', () => {
  const known = new KnownTasks()
  known.resolve(ask({ tasks, tasks_version: 'v1' }))
  const changed = { daily: nodeTask('b') }
  known.resolve(ask({ tasks: changed, tasks_version: 'v2' }))
  expect(known.resolve(ask({ tasks_version: 'v1' }))).toBeNull()
  expect(known.resolve(ask({ tasks_version: 'v2' }))?.tasks).toEqual(changed)
})

test('what is kept is bounded: the oldest sessions are asked again', () => {
  const known = new KnownTasks()
  const many = Object.fromEntries(Array.from({ length: 9_000 }, (_, n) => [`task_${n}`, nodeTask('a')]))
  const sessions = ['s-1', 's-2', 's-3'] as OfferAsk['session'][]
  for (const session of sessions) known.resolve(ask({ session, tasks: many, tasks_version: 'v' }))
  expect(sessions.map((session) => known.resolve(ask({ session, tasks_version: 'v' })) !== null)).toEqual([false, true, true])
})

test('a list that is too long to be kept is served all the same', () => {
  const known = new KnownTasks()
  const huge = Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`task_${n}`, nodeTask('a')]))
  expect(known.resolve(ask({ tasks: huge, tasks_version: 'v' }))?.tasks).toBe(huge)
  expect(known.resolve(ask({ tasks_version: 'v' }))?.tasks).toBe(huge)
})
