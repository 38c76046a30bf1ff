import type { JSX } from 'preact'
import type { Group } from '../../client/wire.ts'
import { ago, duration, exactTime } from '../format.ts'
import { StepMarks } from '../groups/picture.tsx'
import { isLiveGroup, summaryWords } from '../groups/words.ts'
import { markOf, StateMark, stateWord } from '../icons.tsx'
import { useClock } from '../load.ts'
import { useListed } from '../parts/listed.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { TableFrame } from '../parts/table-frame.tsx'
import { WorkHead } from '../parts/work-tabs.tsx'
import { address } from '../route.ts'
import { client } from '../session.ts'
import { GroupPlace } from './group.tsx'

const Row = ({ group, now }: { group: Group; now: number }): JSX.Element => {
  const end = group.finished_at === null ? now : Date.parse(group.finished_at)
  return (
    <tr data-group={group.id}>
      <td>
        <span class="state">
          <StateMark state={markOf(group.state)} /> {stateWord(group.state)}
        </span>
      </td>
      <td>
        <a href={address('groups', group.id)} class={group.alias === null ? 'mono' : ''}>
          {group.alias ?? group.id}
        </a>
      </td>
      <td>
        <StepMarks group={group} />
      </td>
      <td class="quiet narrow-off">{summaryWords(group)}</td>
      <td class="narrow-off" title={exactTime(group.created_at)}>
        {ago(group.created_at, now)}
      </td>
      <td class="right">{duration(end - Date.parse(group.created_at))}</td>
    </tr>
  )
}

const GroupList = (): JSX.Element => {
  const list = useListed(
    'groups',
    (options) => client.groups.list(options),
    (group) => group.id,
    (items) => items.some(isLiveGroup),
  )
  const now = useClock(1_000, list.items?.some(isLiveGroup) ?? false)
  return (
    <section class="place" aria-labelledby="groups-title">
      <WorkHead here="groups" title="Groups" about={list.items === null ? null : 'newest first'} />
      {list.error !== null && list.items === null ? <ErrorNotice error={list.error} what="The groups" retry={list.reload} /> : null}
      {list.error !== null && list.items !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
      {list.items === null && list.error === null ? <Skeleton lines={6} label="Loading groups" /> : null}
      {list.items?.length === 0 ? (
        <Notice kind="empty" title="No group has run yet.">
          A group is jobs that wait for each other. Submit one to <code>POST /v1/groups</code>, and it shows up here as a picture.
        </Notice>
      ) : null}
      {list.items === null || list.items.length === 0 ? null : (
        <TableFrame label="Groups">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">State</th>
                <th scope="col">Group</th>
                <th scope="col">Steps</th>
                <th scope="col" class="narrow-off">
                  So far
                </th>
                <th scope="col" class="narrow-off">
                  Submitted
                </th>
                <th scope="col" class="right">
                  Took
                </th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((group) => (
                <Row key={group.id} group={group} now={Math.max(now, Date.now())} />
              ))}
            </tbody>
          </table>
          {list.more === null ? null : (
            <button type="button" class="button" onClick={list.more}>
              Show older groups
            </button>
          )}
        </TableFrame>
      )}
    </section>
  )
}

export const Groups = ({ group }: { group: string | null }): JSX.Element =>
  group === null ? <GroupList /> : <GroupPlace key={group} id={group} />
