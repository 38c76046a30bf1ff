import type { IncomingMessage, ServerResponse } from 'node:http'
import { DeadJob } from '../../edge/contract/dead.ts'
import { Group, type GroupEvent, type StepInfo, type StepState } from '../../edge/contract/groups.ts'
import type { Job } from '../../edge/contract/jobs.ts'
import { Queue, QueueSettings } from '../../edge/contract/queues.ts'
import { Schedule, ScheduleBody } from '../../edge/contract/schedules.ts'

/** Groups, schedules, lanes and dead letters from memory; a test says what happens to them. */
export interface SupportWork {
  owns(path: string): boolean
  answer(request: IncomingMessage, response: ServerResponse, url: URL, body: unknown): void
  /** Puts a group there and answers its id. */
  group(alias: string, steps: Record<string, Partial<StepInfo>>): string
  /** A step of a group comes into a state; the group's own state may change with it. */
  happen(id: string, step: string | null, state: StepState | null, groupState?: Group['state'], error?: string): void
  queue(name: string, more: Partial<Queue>): void
  dead(task: string, code: string, message: string, more?: Partial<Job>): string
  schedule(task: string, more: Partial<Schedule>): void
  /** Breaks the streams that are open. */
  dropStreams(): void
  /** While true every request is refused for want of rights. */
  refuse(all: boolean): void
  /** Bodies of what was put, posted and deleted, with the line of their request. */
  readonly changes: { line: string; body: unknown }[]
}

const id = (letter: string, n: number): string => `${letter}01kaj5m0w5svpp0r${String(n).padStart(10, '0')}`

const APPROVAL_MS = 1_500_000

const STEP: StepInfo = {
  job: null,
  state: 'waiting',
  needs: [],
  when: 'succeeded',
  after: 'result',
  kind: 'job',
  task: null,
  compensates: null,
  error: null,
  approval: null,
}

export const startSupportWork = (): SupportWork => {
  const groups = new Map<string, { group: Group; events: GroupEvent[]; readers: Map<ServerResponse, number> }>()
  const queues = new Map<string, Queue>()
  const schedules = new Map<string, Schedule>()
  const dead = new Map<string, DeadJob>()
  const changes: { line: string; body: unknown }[] = []
  let made = 0
  let refusing = false
  const now = (): string => new Date().toISOString()

  const json = (response: ServerResponse, status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json' })
    response.end(status === 204 ? undefined : JSON.stringify(body))
  }
  const problem = (response: ServerResponse, status: number, code: string, detail: string): void =>
    json(response, status, { type: 'about:blank', title: code, status, code, detail })
  const list = (response: ServerResponse, items: Iterable<unknown>): void => json(response, 200, { items: [...items], next: null })

  const isOver = (group: Group): boolean => group.state === 'succeeded' || group.state === 'failed' || group.state === 'cancelled'
  const wake = (key: string): void => {
    const kept = groups.get(key)
    for (const [reader, sent] of kept?.readers ?? []) {
      for (const event of kept?.events ?? [])
        if (event.seq > sent) reader.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      kept?.readers.set(reader, kept.events.length)
      if (kept && isOver(kept.group)) {
        kept.readers.delete(reader)
        reader.end()
      }
    }
  }

  const work: SupportWork = {
    owns: (path) => /^\/v1\/(groups|queues|schedules|dead|jobs\/[^/]+\/retry)(\/|$)/.test(path),
    changes,
    group: (alias, steps) => {
      made += 1
      const key = id('g', made)
      const group = Group.parse({
        id: key,
        alias,
        state: 'running',
        steps: Object.fromEntries(
          Object.entries(steps).map(([name, step], at) => [
            name,
            {
              ...STEP,
              job: step.kind === 'approval' ? null : id('', made * 100 + at),
              task: step.kind === 'approval' ? null : `${name}_report`,
              ...step,
            },
          ]),
        ),
        created_at: now(),
        finished_at: null,
        deadline_at: null,
        seq: 1,
        error: null,
        links: {},
      })
      groups.set(key, { group, events: [{ seq: 1, group: group.id, type: 'group', state: 'running', at: now() }], readers: new Map() })
      return key
    },
    happen: (key, step, state, groupState, error) => {
      const kept = groups.get(key)
      if (!kept) return
      const { group, events } = kept
      const info = step === null ? undefined : Object.entries(group.steps).find(([name]) => name === step)?.[1]
      if (info && state) info.state = state
      // The clock of an approval starts when somebody is asked.
      if (info?.approval && state === 'approval') info.approval.deadline_at = new Date(Date.now() + APPROVAL_MS).toISOString()
      if (info && error !== undefined) info.error = { code: 'sql_error', message: error }
      if (groupState) group.state = groupState
      if (isOver(group)) group.finished_at = now()
      group.seq += 1
      events.push({
        seq: group.seq,
        group: group.id,
        type: step === null ? 'group' : 'step',
        state: group.state,
        at: now(),
        ...(step === null ? {} : { step: step as NonNullable<GroupEvent['step']> }),
        ...(state === null ? {} : { step_state: state }),
        ...(error === undefined ? {} : { error: { code: 'sql_error', message: error } }),
      })
      wake(key)
    },
    queue: (name, more) => {
      queues.set(name, Queue.parse({ ...QueueSettings.parse({}), name, waiting: 0, held: 0, updated_at: null, ...more }))
    },
    dead: (task, code, message, more) => {
      made += 1
      const key = id('', made)
      const job = DeadJob.parse({
        id: key,
        alias: null,
        task,
        state: 'failed',
        publication: 'none',
        queue: 'default',
        attempt: 1,
        tries: 1,
        progress: null,
        rows: null,
        bytes: null,
        created_at: now(),
        started_at: now(),
        finished_at: now(),
        phase: null,
        engine: 'duckdb',
        error: { code, message },
        cancel: null,
        result: null,
        seq: 3,
        args: [],
        run_date: '2026-11-21',
        links: {},
        dead: { class: 'sql', explanation: 'The engine refuses the statement.', remedy: 'Correct the report, then run it again.' },
      })
      dead.set(key, { ...job, ...more })
      return key
    },
    schedule: (task, more) => {
      made += 1
      const key = id('s', made)
      const body = ScheduleBody.parse({ task, cron: '0 6 * * *' })
      schedules.set(
        key,
        Schedule.parse({
          tz: 'UTC',
          missed: 'latest',
          overlap: 'skip',
          ...body,
          id: key,
          source: 'api',
          next_at: null,
          last_at: null,
          last_job: null,
          skipped: 0,
          notice: null,
          created_at: now(),
          ...more,
        }),
      )
    },
    dropStreams: () => {
      for (const { readers } of groups.values()) for (const reader of readers.keys()) reader.destroy()
    },
    refuse: (all) => {
      refusing = all
    },
    answer: (request, response, url, body) => {
      const method = request.method ?? 'GET'
      if (refusing) return problem(response, 403, 'insufficient_scope', 'The token lacks a scope.')
      if (method !== 'GET') changes.push({ line: `${method} ${url.pathname}`, body })
      const [, , place, key = '', act, step = '', verdict] = url.pathname.split('/').map(decodeURIComponent)
      if (place === 'jobs') {
        const job = dead.get(key)
        if (!job) return problem(response, 409, 'not_retryable', 'The job has nothing to run again.')
        dead.delete(key)
        made += 1
        return json(response, 202, { ...job, id: id('', made), state: 'waiting', error: null, finished_at: null, retried_from: job.id })
      }
      if (place === 'dead') return list(response, dead.values())
      if (place === 'queues') {
        if (method === 'PUT') work.queue(key, { ...queues.get(key), ...QueueSettings.parse(body) })
        return method === 'PUT' ? json(response, 200, queues.get(key)) : list(response, queues.values())
      }
      if (place === 'schedules') {
        if (method === 'DELETE') {
          schedules.delete(key)
          return json(response, 204, null)
        }
        if (method === 'POST') {
          const parsed = ScheduleBody.parse(body)
          work.schedule(parsed.task, {
            ...parsed,
            cron: parsed.cron ?? '@daily',
            tz: parsed.tz ?? 'UTC',
            missed: parsed.missed ?? 'latest',
            overlap: parsed.overlap ?? 'skip',
            next_at: '2026-12-01T06:00:00.000Z',
          })
          return json(response, 201, [...schedules.values()].at(-1))
        }
        return list(response, schedules.values())
      }
      if (key === '') return list(response, [...groups.values()].map(({ group }) => group).reverse())
      const kept = groups.get(key)
      if (!kept) return problem(response, 404, 'not_found', `There is no group ${key}.`)
      if (act === 'events') {
        const after = Number(request.headers['last-event-id'] ?? 0)
        if (isOver(kept.group) && after >= kept.group.seq) return json(response, 204, null)
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
        response.write('retry: 100\n\n')
        kept.readers.set(response, after)
        response.on('close', () => kept.readers.delete(response))
        return wake(key)
      }
      if (act === 'cancel') work.happen(key, null, null, 'cancelled')
      if (act === 'retry') {
        const again = work.group(`${kept.group.alias ?? 'group'}-again`, kept.group.steps)
        const next = groups.get(again)
        if (next) next.group.retried_from = kept.group.id
        kept.group.retried_as = next?.group.id ?? null
        return json(response, 202, next?.group)
      }
      if (act === 'steps') {
        const asked = Object.entries(kept.group.steps).find(([name]) => name === step)?.[1]
        if (asked?.state !== 'approval')
          return problem(response, 409, 'not_awaiting_approval', `The step ${step} does not await an approval.`)
        if (asked.approval) asked.approval.decided_by = 'ann@example.com'
        work.happen(key, step, verdict === 'approve' ? 'succeeded' : 'failed')
      }
      if (method === 'DELETE') {
        groups.delete(key)
        return json(response, 204, null)
      }
      return json(response, 200, kept.group)
    },
  }
  return work
}
