import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { ago, duration, exactTime, plural, until } from '../format.ts'
import { markOf, StateMark, stateWord } from '../icons.tsx'
import { isLive, jobs, loadJobs, loadSchedules, loadTasks, nextRun, runMilliseconds, runsOf, tasks, tasksError } from '../library.ts'
import { useClock } from '../load.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { Sparkline } from '../parts/sparkline.tsx'
import { address } from '../route.ts'
import { ReportForm } from './report-form.tsx'

const LOOK_MILLISECONDS = 3_000

const LastRun = ({ name, now }: { name: string; now: number }): JSX.Element => {
  const [last] = runsOf(name)
  if (last === undefined) return <span class="quiet">Never run</span>
  const took = runMilliseconds(last)
  return (
    <span class="last-run" title={exactTime(last.created_at)}>
      <StateMark state={markOf(last.state)} />
      <span class="unseen">{stateWord(last.state)}, </span>
      {ago(last.created_at, now)}
      {took === null || last.state !== 'succeeded' ? null : <span class="quiet"> · {duration(took)}</span>}
      {last.rows === null ? null : <span class="quiet"> · {plural(last.rows, 'row')}</span>}
    </span>
  )
}

const NextRun = ({ name, now }: { name: string; now: number }): JSX.Element | null => {
  const next = nextRun(name)
  return next === null ? null : (
    <span class="quiet next-run" title={exactTime(next)}>
      Next {until(next, now)} ·{' '}
    </span>
  )
}

export const Reports = ({ chosen, query }: { chosen: string | null; query: URLSearchParams }): JSX.Element => {
  const now = useClock(15_000)
  useEffect(() => {
    void loadTasks()
    void loadJobs()
    void loadSchedules()
    // A node that starts announces its reports a moment later, and a server that was away comes back.
    const look = (): void => {
      if (document.visibilityState !== 'visible') return
      if (tasksError.value !== null || (tasks.value?.length ?? 0) === 0) void loadTasks()
      else if (jobs.value?.some(isLive)) void loadJobs()
    }
    const timer = setInterval(look, LOOK_MILLISECONDS)
    const onFocus = (): void => void loadTasks()
    addEventListener('focus', onFocus)
    return () => {
      clearInterval(timer)
      removeEventListener('focus', onFocus)
    }
  }, [])
  const list = tasks.value
  const error = tasksError.value
  const task = list?.find((one) => one.name === chosen) ?? null
  const form = useRef<HTMLElement | null>(null)
  const before = useRef<string | null>(null)
  // Into the form that was opened, and back to its report, without a way through the whole list.
  useEffect(() => {
    if (task !== null) form.current?.focus({ preventScroll: true })
    else if (chosen === null && before.current !== null)
      document.querySelector<HTMLElement>(`[data-report="${CSS.escape(before.current)}"]`)?.focus()
    before.current = chosen
  }, [chosen, task?.name])
  return (
    <div class={`split${chosen === null ? '' : ' split-open'}`}>
      <section class="list-side" aria-labelledby="reports-title">
        <header class="place-head">
          <h1 id="reports-title">Reports</h1>
          {list === null ? null : <span class="quiet">{plural(list.length, 'report')}</span>}
        </header>
        {error !== null && list === null ? <ErrorNotice error={error} what="The reports" retry={() => void loadTasks()} /> : null}
        {error !== null && list !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
        {list === null && error === null ? <Skeleton lines={6} label="Loading reports" /> : null}
        {list !== null && list.length === 0 ? (
          <Notice kind="empty" title="There are no reports yet.">
            A report is a .sql file in the tasks folder of a compute node. Save one there, and it shows up here.
          </Notice>
        ) : null}
        <ul class="report-list">
          {list?.map((one) => (
            <li key={one.name}>
              <a
                href={address('reports', one.name)}
                class={one.name === chosen ? 'report current' : 'report'}
                aria-current={one.name === chosen ? 'true' : undefined}
                data-report={one.name}
              >
                <span class="report-name">{one.name}</span>
                <Sparkline milliseconds={runsOf(one.name).flatMap((job) => runMilliseconds(job) ?? [])} />
                <span class="report-about">{one.description || <span class="quiet">No description</span>}</span>
                <span class="report-last">
                  {one.available ? (
                    <>
                      <NextRun name={one.name} now={now} />
                      <LastRun name={one.name} now={now} />
                    </>
                  ) : (
                    <span class="warning">{one.notice ?? 'No node serves it now'}</span>
                  )}
                </span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {chosen === null ? null : (
        <section class="form-side" aria-label={`Run ${chosen}`} tabIndex={-1} ref={form}>
          {task !== null ? (
            <ReportForm key={task.name} task={task} given={query} />
          ) : list === null ? (
            <Skeleton lines={4} label="Loading the report" />
          ) : (
            <Notice kind="missing" title={`There is no report called ${chosen}.`}>
              It may have been renamed, or its node has not announced it yet.
            </Notice>
          )}
        </section>
      )}
    </div>
  )
}
