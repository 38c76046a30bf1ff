import { expect, it } from 'vitest'
import { busySlots } from './busy.ts'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, OTHER, request, submission, testLedger } from './fixture.ts'
import { accept, offer } from './leases.ts'
import { submit } from './submit.ts'

it('counts the slots of running jobs by node, and neither offers nor leases that have not begun', () => {
  const { context } = testLedger()
  for (let n = 0; n < 5; n++) commit(context, (inner) => submit(inner, submission(), n))
  const take = (holder: typeof HOLDER, want: number, start: boolean | null) => {
    const { offers } = commit(context, (inner) => offer(inner, request(holder, want)))
    if (start !== null)
      commit(context, (inner) =>
        accept(
          inner,
          holder,
          offers.map(({ job, attempt }) => ({ job, attempt, start })),
        ),
      )
    return offers
  }
  expect(busySlots(context)).toEqual({})
  const [, second] = take(HOLDER, 2, true)
  take(OTHER, 1, true)
  take(OTHER, 1, false)
  take(HOLDER, 1, null)
  expect(busySlots(context)).toEqual({ [HOLDER.node]: 2, [OTHER.node]: 1 })
  if (!second) throw new Error('nothing was offered')
  commit(context, (inner) => complete(inner, HOLDER, [completion(second.job, second.attempt)]))
  expect(busySlots(context)).toEqual({ [HOLDER.node]: 1, [OTHER.node]: 1 })
})

it('counts a job as so many slots as it takes, and looks only at held jobs', () => {
  const { context } = testLedger()
  commit(context, (inner) => submit(inner, submission(), 0))
  const { offers } = commit(context, (inner) => offer(inner, request(HOLDER, 1)))
  commit(context, (inner) =>
    accept(
      inner,
      HOLDER,
      offers.map(({ job, attempt }) => ({ job, attempt, start: true })),
    ),
  )
  context.store.run('UPDATE jobs SET weight = 3')
  expect(busySlots(context)).toEqual({ [HOLDER.node]: 3 })
  let asked = ''
  const listening = {
    ...context.store,
    all: <T>(sql: string): T[] => {
      asked = sql
      return []
    },
  }
  busySlots({ store: listening })
  const plan = context.store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${asked}`).map(({ detail }) => detail)
  expect(plan.join()).toContain('jobs_held')
})
