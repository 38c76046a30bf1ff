import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import type { Job } from '../../client/wire.ts'
import { ago, count, duration, exactTime } from '../format.ts'
import { jobWord, markOf, StateMark } from '../icons.tsx'
import { isLive, jobs, jobsError, loadJobs, loadOlderJobs, moreJobs, runMilliseconds } from '../library.ts'
import { useClock } from '../load.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { WorkHead } from '../parts/work-tabs.tsx'
import { address } from '../route.ts'

const REFRESH_MILLISECONDS = 3_000

const Row = ({ job, now }: { job: Job; now: number }): JSX.Element => {
  const took = runMilliseconds(job)
  const running = job.state === 'running' && job.started_at !== null ? now - Date.parse(job.started_at) : null
  return (
    <tr data-job={job.id}>
      <td>
        <span class="state">
          <StateMark state={markOf(job.state)} /> {jobWord(job)}
        </span>
      </td>
      <td>
        <a href={address('jobs', job.id)}>{job.task}</a>
        {job.alias === null ? null : <span class="quiet mono"> {job.alias}</span>}
        {job.group == null ? null : (
          <a class="quiet job-step" href={address('groups', job.group.id)}>
            {' '}
            step {job.group.step}
          </a>
        )}
      </td>
      <td class="args mono quiet narrow-off">
        {job.args.map((value) => (value === null ? 'null' : value === '' ? '“”' : String(value))).join(', ')}
      </td>
      <td title={exactTime(job.created_at)}>{ago(job.created_at, now)}</td>
      <td class="right">{took !== null ? duration(took) : running !== null ? duration(running) : ''}</td>
      <td class="right">{job.rows === null ? '' : count(job.rows)}</td>
    </tr>
  )
}

export const Jobs = (): JSX.Element => {
  const list = jobs.value
  const error = jobsError.value
  const live = list?.some(isLive) ?? false
  const now = useClock(1_000, live)
  useEffect(() => {
    void loadJobs()
    const refresh = (): void => {
      if (document.visibilityState === 'visible' && (jobs.value?.some(isLive) ?? true)) void loadJobs()
    }
    const timer = setInterval(refresh, REFRESH_MILLISECONDS)
    addEventListener('focus', refresh)
    return () => {
      clearInterval(timer)
      removeEventListener('focus', refresh)
    }
  }, [])
  return (
    <section class="place" aria-labelledby="jobs-title">
      <WorkHead here="jobs" title="Jobs" about={list === null ? null : 'newest first'} />
      {error !== null && list === null ? <ErrorNotice error={error} what="The jobs" retry={() => void loadJobs()} /> : null}
      {error !== null && list !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
      {list === null && error === null ? <Skeleton lines={8} label="Loading jobs" /> : null}
      {list !== null && list.length === 0 ? (
        <Notice kind="empty" title="Nothing has run yet.">
          Choose a <a href={address('reports')}>report</a> and run it.
        </Notice>
      ) : null}
      {list === null || list.length === 0 ? null : (
        <div class="table-frame">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">State</th>
                <th scope="col">Report</th>
                <th scope="col" class="narrow-off">
                  Arguments
                </th>
                <th scope="col">Submitted</th>
                <th scope="col" class="right">
                  Took
                </th>
                <th scope="col" class="right">
                  Rows
                </th>
              </tr>
            </thead>
            <tbody>
              {list.map((job) => (
                <Row key={job.id} job={job} now={Math.max(now, Date.now())} />
              ))}
            </tbody>
          </table>
          {moreJobs.value === null ? null : (
            <button type="button" class="button" onClick={() => void loadOlderJobs()}>
              Show older jobs
            </button>
          )}
        </div>
      )}
    </section>
  )
}
