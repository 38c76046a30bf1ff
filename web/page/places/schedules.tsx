import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Schedule } from '../../client/wire.ts'
import { ago, exactTime, plural, until } from '../format.ts'
import { Icon } from '../icons.tsx'
import { useClock } from '../load.ts'
import { tell } from '../parts/announce.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { lazy } from '../parts/lazy.tsx'
import { useListed } from '../parts/listed.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { TableFrame } from '../parts/table-frame.tsx'
import { WorkHead } from '../parts/work-tabs.tsx'
import { address } from '../route.ts'
import { inZone, localZone, MISSED_WORDS, OVERLAP_WORDS } from '../schedules/words.ts'
import { client } from '../session.ts'

const ScheduleForm = lazy('The form', async () => (await import('./schedule-form.tsx')).ScheduleForm)

const argumentsText = (args: Schedule['args']): string =>
  args === undefined
    ? ''
    : (Array.isArray(args) ? args : Object.entries(args).map(([name, value]) => `${name} ${value}`)).map(String).join(', ')

interface RowProps {
  schedule: Schedule
  now: number
  pause: () => void
  remove: () => void
}

const Row = ({ schedule, now, pause, remove }: RowProps): JSX.Element => (
  <tr data-schedule={schedule.id} data-paused={schedule.paused === true}>
    <th scope="row">
      <a href={address('reports', schedule.task)}>{schedule.task}</a>
      {argumentsText(schedule.args) === '' ? null : <span class="quiet mono"> {argumentsText(schedule.args)}</span>}
    </th>
    <td>
      <code>{schedule.cron}</code> <span class="quiet below">{schedule.tz}</span>
    </td>
    <td>
      {schedule.paused === true ? (
        <span class="tag tag-paused">
          <Icon name="pause" /> paused
        </span>
      ) : schedule.next_at === null ? (
        <span class="quiet">never again</span>
      ) : (
        <span title={exactTime(schedule.next_at)}>
          {until(schedule.next_at, now)}
          {schedule.tz === localZone() ? null : <span class="quiet below">there {inZone(schedule.next_at, schedule.tz)}</span>}
        </span>
      )}
    </td>
    <td>
      {schedule.last_at === null ? (
        <span class="quiet">not yet</span>
      ) : schedule.last_job === null ? (
        <span title={exactTime(schedule.last_at)}>{ago(schedule.last_at, now)}</span>
      ) : (
        <a href={address('jobs', schedule.last_job)} title={exactTime(schedule.last_at)}>
          {ago(schedule.last_at, now)}
        </a>
      )}
    </td>
    <td class="wrap quiet">
      <span class="below">If missed: {MISSED_WORDS[schedule.missed]}.</span>
      <span class="below">If the last one still runs: {OVERLAP_WORDS[schedule.overlap]}.</span>
      {schedule.skipped === 0 ? null : `${plural(schedule.skipped, 'run')} left out. `}
      {schedule.notice === null ? null : <span class="warning">{schedule.notice}</span>}
    </td>
    <td class="right">
      <button type="button" class="button" onClick={pause} data-hook="pause-schedule">
        <Icon name={schedule.paused === true ? 'run' : 'pause'} /> {schedule.paused === true ? 'Resume' : 'Pause'}{' '}
        <span class="unseen">the schedule of {schedule.task}</span>
      </button>{' '}
      {schedule.source === 'file' ? (
        <span class="quiet" title="It stands in the report’s own file, and goes when it goes there.">
          in its file
        </span>
      ) : (
        <button type="button" class="button flat" onClick={remove} data-hook="delete-schedule">
          Delete <span class="unseen">the schedule of {schedule.task}</span>
        </button>
      )}
    </td>
  </tr>
)

export const Schedules = ({ form, query }: { form: boolean; query: URLSearchParams }): JSX.Element => {
  const list = useListed(
    'schedules',
    (options) => client.schedules.list(options),
    (schedule) => schedule.id,
    () => true,
  )
  const [asked, setAsked] = useState<Schedule | null>(null)
  const now = useClock(1_000)
  const pause = async ({ id, task, paused }: Schedule): Promise<void> => {
    try {
      list.put(await client.schedules.pause(id, paused !== true))
      tell(paused === true ? `The schedule of ${task} goes on.` : `The schedule of ${task} is paused: runs that have begun go on.`)
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <div class={`split${form ? ' split-open' : ''}`}>
      <section class="list-side place" aria-labelledby="schedules-title">
        <WorkHead here="schedules" title="Schedules" about={list.items === null ? null : plural(list.items.length, 'schedule')} />
        {list.error !== null && list.items === null ? <ErrorNotice error={list.error} what="The schedules" retry={list.reload} /> : null}
        {list.error !== null && list.items !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
        {list.items === null && list.error === null ? <Skeleton lines={5} label="Loading schedules" /> : null}
        {list.items === null ? null : (
          <div class="place-tools">
            <a class="button" href={address('schedules', 'new')} data-hook="new-schedule">
              <Icon name="plus" /> New schedule
            </a>
          </div>
        )}
        {list.items?.length === 0 ? (
          <Notice kind="empty" title="Nothing runs by the clock yet.">
            A schedule runs a report again and again. A line such as <code>-- schedule: 0 6 * * * Europe/Berlin</code> in its file does the
            same.
          </Notice>
        ) : null}
        {list.items === null || list.items.length === 0 ? null : (
          <TableFrame label="Schedules">
            <table class="plain">
              <thead>
                <tr>
                  <th scope="col">Report</th>
                  <th scope="col">When</th>
                  <th scope="col">Next</th>
                  <th scope="col">Last</th>
                  <th scope="col">Rules</th>
                  <th scope="col">
                    <span class="unseen">Pause or delete</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {list.items.map((schedule) => (
                  <Row
                    key={schedule.id}
                    schedule={schedule}
                    now={now}
                    pause={() => void pause(schedule)}
                    remove={() => setAsked(schedule)}
                  />
                ))}
              </tbody>
            </table>
            {list.more === null ? null : (
              <button type="button" class="button" onClick={list.more}>
                Show more schedules
              </button>
            )}
          </TableFrame>
        )}
      </section>
      {form ? (
        <section class="form-side" aria-label="New schedule">
          <ScheduleForm key={query.get('task') ?? ''} given={query} made={list.reload} />
        </section>
      ) : null}
      {asked === null ? null : (
        <Confirm
          title={`Delete the schedule of ${asked.task}?`}
          verb="Delete the schedule"
          close={() => setAsked(null)}
          run={async () => {
            try {
              await client.schedules.remove(asked.id)
              list.drop(asked.id)
              tell('The schedule is deleted.')
              return null
            } catch (error) {
              return error instanceof Error ? error.message : String(error)
            }
          }}
        >
          It does not run at <code>{asked.cron}</code> any more. Runs of the past and their results stay.
        </Confirm>
      )}
    </div>
  )
}
