import type { ComponentChildren, JSX } from 'preact'
import type { Job } from '../../client/wire.ts'
import { duration, exactTime, until } from '../format.ts'
import { isLive } from '../library.ts'
import { address } from '../route.ts'
import { cancelWords } from '../why.ts'

const JobLink = ({ id }: { id: string }): JSX.Element => (
  <a class="mono" href={address('jobs', id)}>
    {id}
  </a>
)

const JOB_ID = /^[0-9a-hjkmnp-tv-z]{26}$/

/** What is to be known of a job besides its steps; only what differs from the ordinary has a line. */
export const factsOf = (job: Job, now: number): { name: string; text: ComponentChildren }[] => {
  const facts: { name: string; text: ComponentChildren }[] = []
  const add = (name: string, text: ComponentChildren): void => void facts.push({ name, text })
  const live = isLive(job)
  if (job.group != null)
    add(
      'Group',
      <>
        step {job.group.step} of <a href={address('groups', job.group.id)}>its group</a>
      </>,
    )
  if (job.schedule != null) add('Started by', <a href={address('schedules')}>its schedule</a>)
  // What it shares is told below.
  const waitsFor = job.waiting_for?.filter((one) => one !== job.coalesced_with) ?? []
  if (live && waitsFor.length > 0)
    add(
      'Waits for',
      waitsFor.map((one, at) => (
        <span key={one}>
          {at === 0 ? '' : ', '}
          {JOB_ID.test(one) ? <JobLink id={one} /> : one === job.schedule ? 'the run before it' : one}
        </span>
      )),
    )
  if (live && job.eta != null && Date.parse(job.eta) > now) add('Not before', <span title={exactTime(job.eta)}>{until(job.eta, now)}</span>)
  if (live && job.expires_at != null && job.started_at === null)
    add('Expires', <span title={exactTime(job.expires_at)}>{until(job.expires_at, now)}, unless a node has begun it</span>)
  if (job.coalesced_with != null)
    add(
      'Shares',
      <>
        the execution of <JobLink id={job.coalesced_with} />, which is the same
      </>,
    )
  if (job.reused_from != null)
    add(
      'Reuses',
      <>
        the result of <JobLink id={job.reused_from} />
      </>,
    )
  if (job.retried_from != null)
    add(
      'Runs again',
      <>
        <JobLink id={job.retried_from} />, which had failed
      </>,
    )
  if (job.retried_as != null)
    add(
      'Was run again',
      <>
        as <JobLink id={job.retried_as} />
      </>,
    )
  if (job.queue !== 'default') add('Lane', <a href={address('lanes')}>{job.queue}</a>)
  if (job.priority !== undefined && job.priority !== 0) add('Priority', String(job.priority).replace('-', '−'))
  if ((job.tags?.length ?? 0) > 0)
    add(
      'Tags',
      <span class="tags">
        {job.tags?.map((tag) => (
          <span class="tag" key={tag}>
            {tag}
          </span>
        ))}
      </span>,
    )
  if (job.retention_seconds != null) add('Kept for', duration(job.retention_seconds * 1_000))
  if (job.cancel !== null && job.state !== 'cancelled') add('Cancel', cancelWords(job))
  return facts
}

export const JobFacts = ({ job, now }: { job: Job; now: number }): JSX.Element | null => {
  const facts = factsOf(job, now)
  if (facts.length === 0) return null
  return (
    <dl class="job-facts" data-hook="job-facts">
      {facts.map(({ name, text }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  )
}
