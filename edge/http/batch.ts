import { Hono } from 'hono'
import { z } from 'zod'
import { canonicalJson } from '../contract/canonical.ts'
import { type BatchAnswer, BatchJob, MAX_BATCH } from '../contract/jobs.ts'
import { type Fault, PROBLEMS } from '../contract/problems.ts'
import { gateOf } from '../identity/wire.ts'
import { prepareSubmission } from '../ledger/prepare.ts'
import type { Submission, Submitted } from '../ledger/submit.ts'
import { readBody } from './body.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { allow } from './guard.ts'
import { idempotencyKey } from './headers.ts'
import { digest, keyOf, ledgerOf, rememberLedger } from './jobs.ts'
import { fromFault, schemaProblem } from './problem.ts'

/** A batch's body, at most: a thousand jobs of eight kilobytes. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

/** A control character begins it, which no task's name has: the keys of tasks are another scope. */
const ROUTE = '\n/v1/jobs/batch'

/** Each job is checked by itself, and answered by itself. */
const Batch = z.strictObject({ jobs: z.array(z.unknown()).min(1).max(MAX_BATCH) })

type BatchItem = BatchAnswer['items'][number]

const refused = ({ code, detail }: Fault): BatchItem => {
  const { status, title } = PROBLEMS[code]
  return { status, problem: { type: `urn:scarab:problem:${code}`, title, status, code, detail } }
}

/** `POST /v1/jobs/batch`: all jobs that can be taken, in one transaction; what is wrong with one keeps no other out. */
const batchHandler = async (c: AppContext): Promise<Response> => {
  const person = personOf(c)
  const { jobs } = await readBody(c, Batch, MAX_BATCH_BYTES)
  const key = idempotencyKey(c)
  const { directory } = gateOf(c.env)
  // One key and one body for the whole request: each of its jobs has the key with its place.
  const body = key === null ? null : await digest(canonicalJson(jobs))
  const items: (BatchItem | null)[] = []
  const wanted: { at: number; submission: Submission }[] = []
  for (const [at, asked] of jobs.entries()) {
    const parsed = BatchJob.safeParse(asked)
    if (!parsed.success) {
      const { code, message: detail } = schemaProblem('invalid_body', `The job ${at}`, parsed.error)
      items.push(refused({ code, detail }))
      continue
    }
    const { task: name, ...options } = parsed.data
    const task = await directory.task(person.tenant, name)
    const idempotency = key === null || body === null ? null : { key: await keyOf(`${ROUTE} ${at}`, key), body }
    const prepared = task
      ? prepareSubmission(person, task, options, idempotency)
      : { ok: false as const, code: 'unknown_task' as const, detail: `No node that serves this tenant has announced a task "${name}".` }
    if (prepared.ok) wanted.push({ at, submission: prepared.submission })
    items.push(prepared.ok ? null : refused(prepared))
  }
  if (wanted.length > 0) {
    await rememberLedger(c)
    const answers: Submitted[] = await ledgerOf(c).submitBatch(wanted.map(({ submission }) => submission))
    for (const [index, { at }] of wanted.entries()) {
      const answer = answers[index]
      if (answer && !answer.ok && answer.code === 'idempotency_mismatch') throw fromFault(answer)
      if (answer) items[at] = answer.ok ? { status: 202, job: answer.job } : refused(answer)
    }
  }
  return c.json({ items: items.filter((item) => item !== null) } satisfies BatchAnswer)
}

export const batchApp = new Hono<AppEnv>().post('/batch', allow('jobs:submit'), (c) => batchHandler(c))
