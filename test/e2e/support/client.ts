import { z } from 'zod'
import { WireValue } from '../../../edge/contract/columns.ts'
import { isTerminal, Job, page } from '../../../edge/contract/jobs.ts'
import { ResultDocument } from '../../../edge/contract/manifests.ts'
import { ProblemDocument } from '../../../edge/contract/problems.ts'
import { SliceAnswer } from '../../../edge/contract/slices.ts'
import { TaskInfo } from '../../../edge/contract/tasks.ts'
import { PATIENCE_MS } from '../../support/patience.ts'
import { type ServerEvent, serverEvents } from './sse.ts'

export interface Ask {
  method?: string
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is. */
  raw?: string | Uint8Array<ArrayBuffer>
}

/** What a stranger with `curl` and a token can do. */
export interface Client {
  origin: string
  token: string
  /** One request; `path` begins with "/". */
  ask(path: string, ask?: Ask): Promise<Response>
  /** Submits without waiting; throws unless the answer is 202. */
  submit(task: string, body?: unknown, headers?: Record<string, string>): Promise<Job>
  /** Submits and waits for the end, whatever it is. */
  run(task: string, args?: unknown): Promise<Job>
  /** Waits for a job's end. */
  ended(id: string): Promise<Job>
  /** Waits for a job's publication (or its refusal) and returns all its numbered events but that of the pack. */
  published(id: string): Promise<ServerEvent[]>
  /** Waits for a succeeded job's pack; a result that is too large for one never has it. */
  packed(id: string): Promise<void>
  result(id: string): Promise<ResultDocument>
  /** Asks again while the answer takes too long. */
  slice(id: string, question: unknown): Promise<SliceAnswer>
  /** Asks until the answer is not 202 any more, as its Retry-After says. */
  made(path: string, ask?: Ask): Promise<Response>
}

const refuse = async (what: string, answer: Response): Promise<never> => {
  throw new Error(`${what}: ${answer.status} ${await answer.text()}`)
}

const isPack = ({ data }: ServerEvent): boolean => typeof data === 'object' && data !== null && 'type' in data && data.type === 'pack'

/** A file of a whole large result is the longest that the edge works for one request. */
const MAKING_MS = 2 * PATIENCE_MS

export const client = (origin: string, token: string): Client => {
  const ask: Client['ask'] = (path, { method, headers = {}, body, raw } = {}) =>
    fetch(`${origin}${path}`, {
      method: method ?? (body === undefined && raw === undefined ? 'GET' : 'POST'),
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(raw === undefined ? (body === undefined ? {} : { body: JSON.stringify(body) }) : { body: raw }),
    })
  const ended: Client['ended'] = async (id) => {
    for (;;) {
      const answer = await ask(`/v1/jobs/${id}`, { headers: { prefer: 'wait=30' } })
      if (answer.status !== 200) return refuse(id, answer)
      const job = Job.parse(await answer.json())
      if (isTerminal(job.state)) return job
    }
  }
  /** All numbered events until the stream ends. */
  const numbered = async (id: string, until: 'published' | 'pack'): Promise<ServerEvent[]> => {
    const answer = await ask(`/v1/jobs/${id}/events?until=${until}`)
    if (!answer.ok) return refuse(id, answer)
    const events: ServerEvent[] = []
    for await (const event of serverEvents(answer)) if (event.id !== null) events.push(event)
    return events
  }
  const self: Client = {
    origin,
    token,
    ask,
    submit: async (task, body = {}, headers = {}) => {
      const answer = await ask(`/v1/tasks/${encodeURIComponent(task)}/jobs`, { body, headers })
      return answer.status === 202 ? Job.parse(await answer.json()) : refuse(task, answer)
    },
    run: async (task, args) => {
      const answer = await ask(`/v1/tasks/${encodeURIComponent(task)}/jobs`, {
        body: args === undefined ? {} : { args },
        headers: { prefer: 'wait=30' },
      })
      if (answer.status !== 200 && answer.status !== 202) return refuse(task, answer)
      const job = Job.parse(await answer.json())
      return isTerminal(job.state) ? job : ended(job.id)
    },
    ended,
    // A pack comes when it is made, before the publication or after it.
    published: async (id) => (await numbered(id, 'published')).filter((event) => !isPack(event)),
    packed: async (id) => {
      if (!(await numbered(id, 'pack')).some(isPack)) throw new Error(`${id} has no pack`)
    },
    result: async (id) => {
      const answer = await ask(`/v1/jobs/${id}/result`)
      return answer.ok ? ResultDocument.parse(await answer.json()) : refuse(id, answer)
    },
    slice: async (id, question) => {
      const until = Date.now() + PATIENCE_MS
      for (;;) {
        const answer = await ask(`/v1/jobs/${id}/slice`, { body: question })
        if (answer.ok) return SliceAnswer.parse(await answer.json())
        // "Ask again": a large file may still be on its way to the node.
        if (answer.status !== 504 || Date.now() > until) return refuse(JSON.stringify(question), answer)
        await answer.body?.cancel()
      }
    },
    made: async (path, one) => {
      const until = Date.now() + MAKING_MS
      for (;;) {
        const answer = await ask(path, one)
        if (answer.status !== 202 || Date.now() > until) return answer
        await answer.body?.cancel()
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    },
  }
  return self
}

/** The problem of a refused request. Throws when the answer is none. */
export const problemOf = async (answer: Response): Promise<ProblemDocument> => {
  const type = answer.headers.get('content-type')
  if (type !== 'application/problem+json') throw new Error(`${answer.status} ${type} is no problem: ${await answer.text()}`)
  const problem = ProblemDocument.parse(await answer.json())
  if (problem.status !== answer.status) throw new Error(`the problem says ${problem.status}, the answer ${answer.status}`)
  return problem
}

export const JobPage = page(Job)
export const TaskPage = page(TaskInfo)
/** `result.json`. */
export const WholeResult = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(WireValue)),
})

/** An answer's JSON by its schema. */
export const parsed = async <Schema extends z.ZodType>(answer: Response, schema: Schema): Promise<z.infer<Schema>> =>
  schema.parse(await answer.json())
