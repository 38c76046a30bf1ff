import { expect, it } from 'vitest'
import { TaskName } from '../contract/ids.ts'
import { commit } from './context.ts'
import { HOLDER, nodeTask, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { offer } from './leases.ts'
import { submit } from './submit.ts'

it.each(['constructor', 'toString', '__proto__'])('a job of a task %j waits for a node that has such a task', (name) => {
  const { context, pass } = testLedger()
  const task = TaskName.parse(name)
  const submitted = commit(context, (inner) => submit(inner, submission({ task, submitted_hash: 'a'.repeat(64), signature: 'p.c' }), 0))
  if (!submitted.ok) throw new Error(submitted.detail)
  pass(1_000)
  const ask = (tasks: Parameters<typeof request>[2]) => commit(context, (inner) => offer(inner, request(HOLDER, 2, tasks)))
  expect(ask({ daily: nodeTask('a') }).offers).toEqual([])
  expect(findJob(context, submitted.job.id)?.state).toBe('waiting')
  expect(ask(Object.fromEntries([[name, nodeTask('a')]])).offers).toMatchObject([{ task: name }])
})
