import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Job } from '../../client/wire.ts'
import { namedArguments } from '../arguments.ts'
import { ago, bytes, count, duration, exactTime, plural } from '../format.ts'
import { Icon, jobWord, markOf, StateMark } from '../icons.tsx'
import { type JobSession, openJobSession } from '../job-session.ts'
import { isLive, loadTasks, putJob, tasks } from '../library.ts'
import { useClock, useLoad } from '../load.ts'
import { tell } from '../parts/announce.tsx'
import { keepFocus } from '../parts/focus.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { address, go } from '../route.ts'
import { client } from '../session.ts'
import { type Step, stepsOf } from '../steps.ts'
import type { ViewState } from '../view-state.ts'
import { readView } from '../view-state.ts'
import { cancelWords, triesWords } from '../why.ts'
import { JobFacts } from './job-facts.tsx'
import { Result } from './result.tsx'

export const JobPlace = ({ id, query }: { id: string; query: URLSearchParams }): JSX.Element => {
  const view = readView(query)
  const [round, setRound] = useState(0)
  const [session, setSession] = useState<JobSession | null>(null)
  const key = `${id} ${view.source ?? ''} ${round}`
  useEffect(() => {
    const made = openJobSession(id, view.source)
    setSession(made)
    return () => made.close()
  }, [key])
  useEffect(() => {
    if (tasks.value === null) void loadTasks()
  }, [])
  if (session === null || session.id !== id) return <Skeleton lines={5} label="Loading the job" />
  return <JobScreen session={session} view={view} again={() => setRound(round + 1)} />
}

const JobScreen = ({ session, view, again }: { session: JobSession; view: ViewState; again: () => void }): JSX.Element => {
  const job = session.job.value
  const error = session.error.value
  const title = job?.task ?? 'Job'
  // The button that one pressed is gone with the state it was for.
  useEffect(keepFocus, [job?.state])
  useEffect(() => {
    document.title = `${title} · Scarab`
  }, [title])
  if (job === null)
    return error === null ? <Skeleton lines={5} label="Loading the job" /> : <ErrorNotice error={error} what="This job" retry={again} />
  return (
    <div class="job" data-job-state={job.state} data-publication={job.publication}>
      <TopLine session={session} />
      {job.state === 'succeeded' ? <Finished session={session} view={view} /> : <Live session={session} again={again} />}
    </div>
  )
}

/** Dead letters of one report in which a job's own is looked for; the newest stand first. */
const REMEDY_JOBS = 100

/** The report's form, filled with this job's arguments. */
const againAddress = (job: Job): string => {
  const args = namedArguments(job, tasks.value?.find((one) => one.name === job.task) ?? null)
  return address(
    'reports',
    job.task,
    new URLSearchParams(args.filter((one) => one.value !== 'null').map(({ name, value }) => [name, value])),
  )
}

const TopLine = ({ session }: { session: JobSession }): JSX.Element | null => {
  const job = session.job.value
  const document = session.document.value
  const [steps, setSteps] = useState(false)
  const now = useClock(15_000)
  if (job === null) return null
  const task = tasks.value?.find((one) => one.name === job.task) ?? null
  const args = namedArguments(job, task)
  const again = againAddress(job)
  return (
    <header class="top-line">
      <h1>{job.task}</h1>
      <ul class="chips" aria-label="Arguments">
        {args.map(({ name, value }) => (
          <li key={name}>
            <a class="chip" href={again} title="Run it again with other arguments">
              <span class="quiet">{name}</span> {value === '' ? '“”' : value}
            </a>
          </li>
        ))}
      </ul>
      {job.state === 'succeeded' ? (
        <p class="facts">
          {document === null ? null : (
            <>
              <span data-hook="rows">{plural(document.rows, 'row')}</span>
              <span>{bytes(document.bytes)}</span>
              <span title={exactTime(document.created_at)}>
                computed {ago(document.created_at, now)} in {duration(document.seconds.executing * 1_000)} on {document.engine.name}
              </span>
              <SourceOfTruth session={session} />
            </>
          )}
          {job.group == null ? null : <a href={address('groups', job.group.id)}>Group</a>}
          {job.coalesced_with == null ? null : <a href={address('jobs', job.coalesced_with)}>shared execution</a>}
          {job.reused_from == null ? null : <a href={address('jobs', job.reused_from)}>reused result</a>}
          {job.cancel?.outcome === 'too_late' ? <span class="warning">the cancel came too late</span> : null}
          <button type="button" class="link" aria-expanded={steps} onClick={() => setSteps(!steps)}>
            Steps
          </button>
        </p>
      ) : (
        <p class="facts">
          <span class="state">
            <StateMark state={markOf(job.state)} /> {jobWord(job)}
          </span>
        </p>
      )}
      {steps && job.state === 'succeeded' ? (
        <>
          <Steps session={session} />
          <JobFacts job={job} now={now} />
        </>
      ) : null}
    </header>
  )
}

/** Where the rows that one sees come from. */
const SourceOfTruth = ({ session }: { session: JobSession }): JSX.Element => {
  const mode = session.mode.value
  const copying = session.copying.value
  const failed = session.copyError.value
  const part =
    copying?.phase === 'download' && copying.total !== undefined && copying.total > 0 ? (copying.loaded ?? 0) / copying.total : null
  const words = { preview: 'first rows', remote: 'server', local: 'local copy' }[mode]
  const about = {
    preview: 'The first rows, as the job left them. The local copy is on its way.',
    remote:
      failed === null ? 'The server answers each question: there is no local copy.' : `The server answers each question: ${failed.message}`,
    local: 'Everything is computed in this browser; nothing is asked of the server.',
  }[mode]
  return (
    <span class={`source source-${mode}`} title={about} data-mode={mode} data-hook="mode">
      {words}
      {part === null ? (
        copying === null || mode !== 'preview' ? null : (
          <span class="quiet"> · preparing</span>
        )
      ) : (
        <span class="quiet"> · {Math.floor(part * 100)} %</span>
      )}
    </span>
  )
}

const Steps = ({ session }: { session: JobSession }): JSX.Element | null => {
  const job = session.job.value
  const now = useClock(200, job !== null && isLive(job))
  if (job === null) return null
  return (
    <ol class="steps" aria-label="Steps of the job">
      {stepsOf(job, session.events.value, session.progress.value, session.document.value).map((step) => (
        <StepLine key={step.name} step={step} now={now} />
      ))}
    </ol>
  )
}

const MARKS = { done: 'done', now: 'running', ahead: 'waiting', failed: 'failed', cancelled: 'cancelled' } as const
const WORDS = { done: 'done', now: 'now', ahead: 'to come', failed: 'failed', cancelled: 'cancelled' } as const

const StepLine = ({ step, now }: { step: Step; now: number }): JSX.Element => {
  const time = step.milliseconds ?? (step.state === 'now' && step.since !== null ? Math.max(0, now - step.since) : null)
  return (
    <li class={`step step-${step.state}`} data-step={step.name} data-step-state={step.state}>
      <StateMark state={MARKS[step.state]} />
      <span class="step-title">
        {step.title}
        <span class="unseen"> ({WORDS[step.state]})</span>
      </span>
      <span class="step-time">{time === null ? '' : duration(time)}</span>
      {step.percent === null ? null : (
        <progress class="bar" max={100} value={step.percent} aria-label={`${step.title}: ${Math.round(step.percent)} %`} />
      )}
      {step.note === null ? null : <span class="step-note">{step.note}</span>}
    </li>
  )
}

/** The same once more, as a new job. */
const redrive = async (id: string): Promise<void> => {
  try {
    const made = await client.retry(id)
    putJob(made)
    go(address('jobs', made.id))
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error))
  }
}

/** What helps against such a failure, as the list of dead letters tells it; below all else, since it comes a moment later. */
const Remedy = ({ job }: { job: Job }): JSX.Element | null => {
  const dead = useLoad(`remedy ${job.id}`, async (signal) => {
    const { items } = await client.dead({ task: job.task, limit: REMEDY_JOBS, signal })
    return items.find((one) => one.id === job.id)?.dead ?? null
  }).value
  return dead === null ? null : (
    <p class="quiet remedy" data-hook="remedy">
      {dead.explanation} {dead.remedy}
    </p>
  )
}

const Live = ({ session, again }: { session: JobSession; again: () => void }): JSX.Element | null => {
  const job = session.job.value
  const [cancelling, setCancelling] = useState(false)
  const now = useClock(1_000, job !== null && isLive(job))
  if (job === null) return null
  const live = isLive(job)
  const reconnecting = session.reconnecting.value
  const progress = session.progress.value?.progress ?? job.progress
  return (
    <div class="live">
      <Steps session={session} />
      <JobFacts job={job} now={Math.max(now, Date.now())} />
      {/* Its line is kept free, so that Cancel stays where it is. */}
      {live ? <p class="quiet">{progress?.rows == null ? '\u00a0' : `${plural(progress.rows, 'row')} so far`}</p> : null}
      {reconnecting === null || !live ? null : (
        <p class="stale-note" role="status">
          The connection broke. Trying again in {duration(reconnecting * 1_000)}; the job goes on.
        </p>
      )}
      {session.error.value === null ? null : <ErrorNotice error={session.error.value} what="The job’s events" retry={again} />}
      {job.tries > 1 && live ? <p class="quiet">Try {count(job.tries)}.</p> : null}
      {live ? (
        <button
          type="button"
          class="button"
          disabled={cancelling}
          data-hook="cancel"
          onClick={async () => {
            setCancelling(true)
            tell(await session.cancel())
            setCancelling(false)
          }}
        >
          <Icon name="stop" /> {cancelling ? 'Cancelling…' : 'Cancel'}
        </button>
      ) : null}
      {job.state === 'failed' ? (
        <Notice
          kind="failed"
          title={job.error?.message ?? 'The job failed.'}
          {...(job.links.retry !== undefined ? { action: { label: 'Run it again as it was', run: () => void redrive(job.id) } } : {})}
        >
          {triesWords(job)} Nothing of it was kept.{' '}
          <a href={againAddress(job)}>{job.args.length === 0 ? 'Open the report' : 'Run it again with other arguments'}</a>
        </Notice>
      ) : null}
      {job.state === 'failed' ? <Remedy key={job.id} job={job} /> : null}
      {job.state === 'cancelled' ? (
        <Notice kind="cancelled" title="The job was cancelled.">
          {cancelWords(job)} <a href={againAddress(job)}>Run it again</a>
        </Notice>
      ) : null}
    </div>
  )
}

const Finished = ({ session, view }: { session: JobSession; view: ViewState }): JSX.Element => {
  const error = session.resultError.value
  const slice = session.slice.value
  const job = session.job.value
  if (error !== null) {
    const again = job === null ? {} : { instead: { label: 'Run it again', run: () => go(againAddress(job)) } }
    return <ErrorNotice error={error} what="The result" retry={session.retryResult} {...again} />
  }
  if (slice === null) return <Skeleton lines={12} label="Loading the first rows" />
  return <Result session={session} slice={slice} view={view} />
}
