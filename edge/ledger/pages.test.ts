import { expect, test } from 'vitest'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { submission, testLedger } from './fixture.ts'
import { collect, cut, recall } from './housekeeping.ts'
import { findJob, type JobRow } from './jobs.ts'
import { decodePage, type MovedJob, merge, paginate } from './pages.ts'
import { submit } from './submit.ts'

/** Two jobs that have ended, as they move. */
const ended = () => {
  const { context } = testLedger()
  const ids = [1, 2].map(() => {
    const taken = commit(context, (inner) => submit(inner, submission({ fresh: true, reuse_seconds: 60 }), 0))
    const row = taken.ok && findJob(context, taken.job.id)
    if (!row) throw new Error('no such job')
    commit(context, (inner) => cancel(inner, row, 'no'))
    return row.id
  })
  return { context, jobs: collect(context, ids) }
}
/** As a version that knew nothing of these columns has written it. */
const older = ({ row: { fresh: _fresh, reuse_seconds: _reuse, ...row }, ...job }: MovedJob): MovedJob => ({ ...job, row: row as JobRow })

test.each([
  ['first', [0, 1]],
  ['last', [1, 0]],
])('a page that holds jobs of an older version, the %s of them written anew, brings all of them back', (_which, [anew = 0, old = 0]) => {
  const { context, jobs } = ended()
  const [come, left] = [jobs[anew], jobs[old]]
  if (!come || !left) throw new Error('two jobs')
  const [page] = paginate(merge([left, come].map(older), [come]))
  const read = decodePage(page?.text ?? '')
  commit(context, (inner) => expect(cut(inner, jobs, null, [])).toBe(true))
  commit(context, (inner) => {
    for (const job of read) recall(inner, job)
  })
  const row = (id: string): unknown => context.store.all('SELECT * FROM jobs WHERE id = ?', id)[0]
  expect(row(come.row.id)).toEqual(come.row)
  expect(row(left.row.id)).toEqual({ ...left.row, fresh: 0, reuse_seconds: null })
})
