import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Group } from '../../client/wire.ts'
import { ago, duration, exactTime, until } from '../format.ts'
import { Picture } from '../groups/picture.tsx'
import { type GroupSession, openGroupSession } from '../groups/session.ts'
import { StepTable } from '../groups/step-table.tsx'
import { isLiveGroup, isMain, stepsOfGroup, summaryWords } from '../groups/words.ts'
import { Icon, markOf, StateMark, stateWord } from '../icons.tsx'
import { useClock } from '../load.ts'
import { tell } from '../parts/announce.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { ErrorNotice, Skeleton } from '../parts/notice.tsx'
import { address, go } from '../route.ts'
import { client } from '../session.ts'

export const GroupPlace = ({ id }: { id: string }): JSX.Element => {
  const [round, setRound] = useState(0)
  const [session, setSession] = useState<GroupSession | null>(null)
  useEffect(() => {
    const made = openGroupSession(id)
    setSession(made)
    return () => made.close()
  }, [id, round])
  if (session === null) return <Skeleton lines={6} label="Loading the group" />
  return <GroupScreen session={session} again={() => setRound(round + 1)} />
}

/** To a step's line in the list, with the focus on what can be done there. */
const toLine = (step: string): void => {
  const line = document.getElementById(`step-${step}`)
  line?.scrollIntoView({ block: 'nearest' })
  const to = line?.querySelector<HTMLElement>('button:not(:disabled)') ?? line?.querySelector<HTMLElement>('a, [tabindex]')
  to?.focus()
}

const GroupScreen = ({ session, again }: { session: GroupSession; again: () => void }): JSX.Element => {
  const group = session.group.value
  const error = session.error.value
  const name = group === null ? 'Group' : (group.alias ?? 'Group')
  const now = useClock(1_000, group !== null && isLiveGroup(group))
  useEffect(() => {
    document.title = `${name} · Scarab`
  }, [name])
  if (group === null)
    return error === null ? <Skeleton lines={6} label="Loading the group" /> : <ErrorNotice error={error} what="This group" retry={again} />
  const reconnecting = session.reconnecting.value
  return (
    <div class="group" data-group-state={group.state} data-seq={group.seq}>
      <Head group={group} session={session} now={now} />
      {/* Its line is kept free, so that the picture stays where it is. */}
      <p
        class={`group-note${group.error === null ? ' quiet' : ' problem'}`}
        title={group.error?.message}
        role={reconnecting === null ? undefined : 'status'}
      >
        {reconnecting !== null && isLiveGroup(group)
          ? `The connection broke. Trying again in ${duration(reconnecting * 1_000)}; the group goes on.`
          : (group.error?.message ?? summaryWords(group))}
      </p>
      {error === null ? null : <ErrorNotice error={error} what="The group’s events" retry={again} />}
      <Picture group={group} times={session.times.value} now={now} toLine={toLine} />
      <StepTable group={group} session={session} now={now} />
    </div>
  )
}

const Head = ({ group, session, now }: { group: Group; session: GroupSession; now: number }): JSX.Element => {
  const [asking, setAsking] = useState<'cancel' | 'delete' | null>(null)
  const [busy, setBusy] = useState(false)
  const live = isLiveGroup(group)
  const retryable = (group.state === 'failed' || group.state === 'cancelled') && group.retried_as == null
  const end = group.finished_at === null ? now : Date.parse(group.finished_at)
  const undone = stepsOfGroup(group).some((step) => step.kind === 'compensation')
  return (
    <header class="top-line group-head">
      <h1>
        <a href={address('groups')} class="quiet">
          Groups
        </a>{' '}
        <span aria-hidden="true" class="quiet">
          /
        </span>{' '}
        <span class={group.alias === null ? 'mono' : ''}>{group.alias ?? group.id}</span>
      </h1>
      <p class="facts group-facts">
        <span class="state group-state">
          <StateMark state={markOf(group.state)} /> {stateWord(group.state)}
        </span>
        <span title={exactTime(group.created_at)}>
          {live ? 'for' : 'took'} {duration(end - Date.parse(group.created_at))}
        </span>
        <span title={exactTime(group.created_at)}>submitted {ago(group.created_at, Math.max(now, Date.now()))}</span>
        {group.deadline_at === null || !live ? null : (
          <span title={exactTime(group.deadline_at)}>must end {until(group.deadline_at, now)}</span>
        )}
        {group.retried_from == null ? null : <a href={address('groups', group.retried_from)}>goes on from an earlier group</a>}
        {group.retried_as == null ? null : <a href={address('groups', group.retried_as)}>was run again</a>}
      </p>
      <div class="tools">
        {live ? (
          <button
            type="button"
            class="button"
            disabled={group.state === 'compensating'}
            onClick={() => setAsking('cancel')}
            data-hook="cancel-group"
          >
            <Icon name="stop" /> Cancel
          </button>
        ) : null}
        {retryable ? (
          <button
            type="button"
            class="button primary"
            disabled={busy}
            data-hook="retry-group"
            onClick={async () => {
              setBusy(true)
              const made = await session.retry()
              setBusy(false)
              if (typeof made === 'string') tell(made)
              else go(address('groups', made.id))
            }}
          >
            <Icon name="again" /> Run what failed again
          </button>
        ) : null}
        {live ? null : (
          <button type="button" class="button" onClick={() => setAsking('delete')} data-hook="delete-group">
            Delete
          </button>
        )}
      </div>
      {asking === 'cancel' ? (
        <Confirm title="Cancel this group?" verb="Cancel the group" run={session.cancel} close={() => setAsking(null)}>
          {`${stepsOfGroup(group).filter((step) => isMain(step) && step.state === 'running').length} steps run now and are stopped.`}
          {undone ? ' What has succeeded is then undone by its compensations.' : ''}
        </Confirm>
      ) : null}
      {asking === 'delete' ? (
        <Confirm
          title="Delete this group?"
          verb="Delete the group"
          close={() => setAsking(null)}
          run={async () => {
            try {
              await client.groups.remove(group.id)
              go(address('groups'))
              return null
            } catch (error) {
              return error instanceof Error ? error.message : String(error)
            }
          }}
        >
          It leaves the list.
        </Confirm>
      ) : null}
    </header>
  )
}
