import { z } from 'zod'
import { JobEvent, ProgressEvent } from '../contract/events.ts'
import { Job } from '../contract/jobs.ts'
import { ResultDocument } from '../contract/manifests.ts'
import { readEvents } from './events.ts'
import { DEMO_TENANT, type System } from './system.ts'
import { bar, numberText, secondsText, table } from './terminal.ts'

/** The sample report that a first start shows. */
export const DEMO_TASK = 'flights_by_month'
const SHOWN_ROWS = 8
/** Publication follows the result within a second; the demo does not wait for ever. */
const DEMO_SECONDS = 120

export interface DemoOptions {
  say(line: string): void
  stopped(): boolean
}

const Problem = z.object({ detail: z.string() })

/** Runs the sample report through the public API, as any client would, and shows what happens. Never throws. */
export const runDemo = async (system: System, { say, stopped }: DemoOptions): Promise<void> => {
  try {
    await demo(system, say)
  } catch (fault) {
    if (!stopped()) say(`the sample report could not be shown: ${fault instanceof Error ? fault.message : String(fault)}`)
  }
  if (stopped()) return
  say('')
  say(`open ${system.pageAddress()}`)
  say('  the address signs in once, within a minute; a new one by: npm run -s open')
  say('Ctrl-C ends')
}

const demo = async (system: System, say: (line: string) => void): Promise<void> => {
  const authorization = `Bearer ${await system.token(DEMO_TENANT, { ttl: 3_600 })}`
  const signal = AbortSignal.timeout(DEMO_SECONDS * 1000)
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const answer = await fetch(`${system.origin}${path}`, { ...init, signal, headers: { authorization, ...init.headers } })
    if (answer.ok) return answer
    const problem = Problem.safeParse(await answer.json().catch(() => null))
    throw new Error(problem.success ? problem.data.detail : `${path} answered ${answer.status}`)
  }

  const known = await fetch(`${system.origin}/v1/tasks/${DEMO_TASK}`, { headers: { authorization }, signal })
  await known.body?.cancel()
  // Another folder of tasks is in use: then there is no sample to show.
  if (known.status === 404) return

  const submitted = await ask(`/v1/tasks/${DEMO_TASK}/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ args: [] }),
  })
  const job = Job.parse(await submitted.json())
  say('')
  say(`report ${DEMO_TASK} over 3 million flights, job ${job.id}`)
  const times = await watch(await ask(`/v1/jobs/${job.id}/events?until=published`), say)
  const final = Job.parse(await (await ask(`/v1/jobs/${job.id}`)).json())
  if (final.state !== 'succeeded') throw new Error(`it ${final.state}${final.error ? `: ${final.error.message}` : ''}`)
  const result = ResultDocument.parse(await (await ask(`/v1/jobs/${job.id}/result`)).json())

  say('')
  for (const line of table(result.columns, result.first_rows.slice(0, SHOWN_ROWS))) say(`  ${line}`)
  if (result.rows > SHOWN_ROWS) say(`  … ${numberText(result.rows)} rows in all`)
  say('')
  const since = (name: string): number | null => {
    const at = times.get(name)
    return at === undefined ? null : (at - Date.parse(job.created_at)) / 1000
  }
  const steps: [string, number | null][] = [
    ['until it ran', since('running')],
    ['planning', result.seconds.planning],
    ['executing', result.seconds.executing],
    ['uploading', result.seconds.uploading],
    ['readable after', since('succeeded')],
    ['in Iceberg after', since('published')],
  ]
  for (const [name, seconds] of steps) if (seconds !== null) say(`  ${name.padEnd(16)} ${secondsText(seconds).padStart(8)}`)
}

/** Follows a job's events to their end, with a bar where there is a terminal; returns when each state began. */
const watch = async (stream: Response, say: (line: string) => void): Promise<Map<string, number>> => {
  const times = new Map<string, number>()
  const live = process.stdout.isTTY === true
  let drawn = ''
  let percent: number | null = null
  const draw = (words: string): void => {
    const text = `  ${bar(percent, words)}`
    if (text === drawn) return
    drawn = text
    if (live) process.stdout.write(`\r\u001b[2K${text}`)
    else say(text)
  }
  if (!stream.body) return times
  for await (const { data } of readEvents(stream.body)) {
    const value: unknown = JSON.parse(data)
    const event = JobEvent.safeParse(value)
    if (event.success) {
      const name = event.data.type === 'publication' ? event.data.publication : event.data.state
      if (name && event.data.type !== 'cancel' && !times.has(name)) times.set(name, Date.parse(event.data.at))
      if (event.data.state === 'succeeded') percent = 100
      draw(
        event.data.type === 'publication' && event.data.publication !== 'none' ? `succeeded, ${event.data.publication}` : event.data.state,
      )
      continue
    }
    const progress = ProgressEvent.safeParse(value)
    if (!progress.success) continue
    percent = progress.data.progress?.percent ?? percent
    const rows = progress.data.progress?.rows
    draw(`${progress.data.phase ?? progress.data.state}${typeof rows === 'number' ? `  ${numberText(rows)} rows` : ''}`)
  }
  if (live) process.stdout.write('\n')
  return times
}
