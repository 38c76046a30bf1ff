import type { JSX } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { ApiError, type TaskInfo } from '../../client/wire.ts'
import { argumentsOf, beginning, fieldsOf, problemOf } from '../arguments.ts'
import { ago, bytes, duration, plural } from '../format.ts'
import { Icon } from '../icons.tsx'
import { putJob, runMilliseconds, runsOf } from '../library.ts'
import { ArgumentFields, showFirstProblem } from '../parts/argument-fields.tsx'
import { address, go } from '../route.ts'
import { client } from '../session.ts'

/** What the last runs say about the next one: honest, for nothing else is known before it is planned. */
const Estimate = ({ task }: { task: TaskInfo }): JSX.Element | null => {
  const done = runsOf(task.name).filter((job) => job.state === 'succeeded')
  const [last] = done
  if (last === undefined) return <p class="quiet estimate">It has not run yet, so how long it takes is not known.</p>
  const times = done.flatMap((job) => runMilliseconds(job) ?? []).sort((a, b) => a - b)
  const middle = times[Math.floor(times.length / 2)] ?? 0
  return (
    <p class="quiet estimate">
      Usually {duration(middle)} on {last.engine ?? 'its engine'}. Last time{' '}
      {last.rows === null ? 'it had no rows' : plural(last.rows, 'row')}
      {last.bytes === null ? '' : `, ${bytes(last.bytes)}`}, {ago(last.created_at, Date.now())}.{' '}
      <a href={address('jobs', last.id)}>Open that result</a>
    </p>
  )
}

export const ReportForm = ({ task, given }: { task: TaskInfo; given: URLSearchParams }): JSX.Element => {
  const fields = fieldsOf(task)
  const [texts, setTexts] = useState(() => beginning(fields, given))
  const [tried, setTried] = useState(false)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  /** The request that brought no job: maybe only its answer got lost, here or at a proxy. Repeated under its key, it is submitted once. */
  const lost = useRef<{ key: string; texts: string[] } | null>(null)
  const problems = fields.map((field, at) => problemOf(field, texts[at] ?? ''))
  const run = async (): Promise<void> => {
    setTried(true)
    if (busy || showFirstProblem(problems)) return
    setBusy(true)
    setFailure(null)
    // The engine takes longer to start than most reports to run.
    client.warmUp()
    const key = lost.current?.texts === texts ? lost.current.key : crypto.randomUUID()
    try {
      const job = await client.submit(task.name, {
        ...(fields.length > 0 ? { args: argumentsOf(fields, texts) } : {}),
        idempotencyKey: key,
      })
      putJob(job)
      go(address('jobs', job.id))
    } catch (error) {
      const unanswered = error instanceof ApiError && error.status === 0
      lost.current = { key, texts }
      setFailure(
        unanswered
          ? 'The server did not answer. Run it again when it does: it is submitted once.'
          : error instanceof Error
            ? error.message
            : String(error),
      )
      setBusy(false)
    }
  }
  return (
    <form
      class="report-form"
      noValidate
      data-hook="report-form"
      onSubmit={(event) => {
        event.preventDefault()
        void run()
      }}
      onKeyDown={(event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run()
      }}
    >
      <header class="form-head">
        <h2>{task.name}</h2>
        <a class="icon-button" href={address('reports')} aria-label="Close the form">
          <Icon name="close" />
        </a>
      </header>
      {task.description === '' ? null : <p>{task.description}</p>}
      {task.error === null ? null : <p class="problem">The node could not describe it: {task.error}</p>}
      <ArgumentFields fields={fields} texts={texts} tried={tried} change={setTexts} />
      {failure === null ? null : (
        <p class="problem" role="alert">
          {failure}
        </p>
      )}
      <div class="form-foot">
        <button type="submit" class="button primary" disabled={busy} data-hook="run">
          <Icon name="run" /> {busy ? 'Submitting…' : 'Run'}
        </button>
        <Estimate task={task} />
        <p class="quiet">
          <a href={address('schedules', 'new', new URLSearchParams({ task: task.name }))}>Run it by the clock</a>
        </p>
      </div>
      <TaskFacts task={task} />
    </form>
  )
}

const TaskFacts = ({ task }: { task: TaskInfo }): JSX.Element => (
  <details class="task-facts">
    <summary>About this report</summary>
    <dl>
      <dt>Runs on</dt>
      <dd>{task.db.length === 0 ? 'any configured source' : task.db.join(', ')}</dd>
      <dt>Writes to</dt>
      <dd>
        <a href={address('tables', task.family)} class="mono">
          {task.family}
        </a>
      </dd>
      {task.queue === null ? null : (
        <>
          <dt>Queue</dt>
          <dd>{task.queue}</dd>
        </>
      )}
      {task.retention_seconds === null ? null : (
        <>
          <dt>Kept for</dt>
          <dd>{duration(task.retention_seconds * 1_000)}</dd>
        </>
      )}
      {task.columns === null ? null : (
        <>
          <dt>Columns</dt>
          <dd class="mono">{task.columns.map((column) => column.name).join(', ')}</dd>
        </>
      )}
    </dl>
    {task.sql === undefined ? null : <pre class="mono sql-text">{task.sql}</pre>}
  </details>
)
