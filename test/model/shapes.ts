import { GroupBody } from '../../edge/contract/groups.ts'
import { TaskName } from '../../edge/contract/ids.ts'
import { submission } from '../../edge/ledger/fixture.ts'
import { planGroup } from '../../edge/ledger/groups/plan.ts'
import type { GroupSubmission } from '../../edge/ledger/groups/submit.ts'
import { dice } from './operations.ts'

/** A small group whose steps, conditions and values come from one number. */
export const groupOf = (shape: number): GroupSubmission => {
  const roll = dice(shape)
  const steps: Record<string, unknown> = {}
  const names = ['a', 'b', 'c', 'd'].slice(0, 1 + roll(4))
  names.forEach((name, n) => {
    const needs = names.slice(0, n).filter(() => roll(2) === 0)
    const edges = {
      needs,
      ...(needs.length > 0 ? { when: ['succeeded', 'failed', 'always'][roll(3)] } : {}),
      ...(roll(4) === 0 ? { after: 'published' } : {}),
    }
    const parent = needs.find((need) => 'task' in (steps[need] as object))
    if (roll(6) === 0) steps[name] = { approval: { deadline: 60, default: roll(2) === 0 ? 'approve' : 'reject' }, ...edges }
    else if (parent && roll(3) === 0) steps[name] = { task: 'number', args: [{ from: parent, column: 'n' }], ...edges }
    else steps[name] = { task: 'daily', ...edges }
    if (roll(4) === 0 && 'task' in (steps[name] as object)) steps[`u-${name}`] = { task: 'daily', compensates: name }
  })
  const body = GroupBody.parse({ steps, ...(roll(3) === 0 ? { alert: { task: 'daily' } } : {}) })
  const planned = planGroup(body, (name) => ({ name, params: [], arity: name === 'number' ? 1 : 0, db: [], columns: null }))
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
  return {
    alias: null,
    deadline_seconds: roll(4) === 0 ? 300 : null,
    undo_seconds: roll(4) === 0 ? 300 : null,
    request: '',
    idempotency: null,
    rights: [],
    retries: null,
    steps: planned.steps.map(({ plan, job }) => ({ plan, job: job && submission({ task: TaskName.parse('daily'), args: job.args }) })),
  }
}
