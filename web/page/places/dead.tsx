import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { DeadJob } from '../../client/wire.ts'
import { ago, exactTime, plural } from '../format.ts'
import { Icon } from '../icons.tsx'
import { useClock } from '../load.ts'
import { announce } from '../parts/announce.tsx'
import { useListed } from '../parts/listed.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { TableFrame } from '../parts/table-frame.tsx'
import { WorkHead } from '../parts/work-tabs.tsx'
import { address } from '../route.ts'
import { client } from '../session.ts'

const Row = ({ job, now, put }: { job: DeadJob; now: number; put: (job: DeadJob) => void }): JSX.Element => {
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  const again = async (): Promise<void> => {
    setBusy(true)
    setFailure(null)
    try {
      const made = await client.retry(job.id)
      put({ ...job, retried_as: made.id })
      announce(`${job.task} runs again.`)
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error))
      setBusy(false)
    }
  }
  const ended = job.finished_at ?? job.created_at
  return (
    <tr data-dead={job.id}>
      <th scope="row">
        <a href={address('jobs', job.id)}>{job.task}</a>
        {job.args.length === 0 ? null : <span class="quiet mono"> {job.args.map((value) => String(value)).join(', ')}</span>}
      </th>
      <td class="wrap">
        <span class="problem dead-error">{job.error?.message ?? 'It failed.'}</span>
        <span class="quiet dead-why">
          {job.dead.explanation} {job.dead.remedy}
        </span>
        {failure === null ? null : (
          <span class="problem" role="alert">
            {' '}
            {failure}
          </span>
        )}
      </td>
      <td class="mono quiet narrow-off">{job.error?.code ?? ''}</td>
      <td class="right narrow-off">{job.tries}</td>
      <td class="narrow-off" title={exactTime(ended)}>
        {ago(ended, now)}
      </td>
      <td class="right dead-act">
        {job.retried_as != null ? (
          <a href={address('jobs', job.retried_as)} data-hook="redriven">
            Runs again
          </a>
        ) : job.group != null ? (
          <a href={address('groups', job.group.id)}>To its group</a>
        ) : (
          <button type="button" class="button" disabled={busy} onClick={() => void again()} data-hook="redrive">
            <Icon name="again" /> Run again <span class="unseen">{job.task}</span>
          </button>
        )}
      </td>
    </tr>
  )
}

export const Dead = (): JSX.Element => {
  // It does not move by itself while one reads it: what was run again stays, with the link to its new job.
  const list = useListed(
    'dead',
    (options) => client.dead(options),
    (job) => job.id,
    () => false,
  )
  const now = useClock(15_000)
  return (
    <section class="place" aria-labelledby="dead-title">
      <WorkHead
        here="dead"
        title="Dead letters"
        about={list.items === null ? null : list.items.length === 0 ? null : plural(list.items.length, 'job')}
      />
      {list.error !== null && list.items === null ? <ErrorNotice error={list.error} what="The dead letters" retry={list.reload} /> : null}
      {list.error !== null && list.items !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
      {list.items === null && list.error === null ? <Skeleton lines={5} label="Loading dead letters" /> : null}
      {list.items?.length === 0 ? (
        <Notice kind="empty" title="No job is dead.">
          What fails for good stands here, with its reason, until somebody runs it again.
        </Notice>
      ) : null}
      {list.items === null || list.items.length === 0 ? null : (
        <TableFrame label="Dead letters">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Report</th>
                <th scope="col">What happened</th>
                <th scope="col" class="narrow-off">
                  Code
                </th>
                <th scope="col" class="right narrow-off">
                  Tries
                </th>
                <th scope="col" class="narrow-off">
                  Failed
                </th>
                <th scope="col">
                  <span class="unseen">Run again</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((job) => (
                <Row key={job.id} job={job} now={now} put={list.put} />
              ))}
            </tbody>
          </table>
          {list.more === null ? null : (
            <button type="button" class="button" onClick={list.more}>
              Show older ones
            </button>
          )}
        </TableFrame>
      )}
    </section>
  )
}
