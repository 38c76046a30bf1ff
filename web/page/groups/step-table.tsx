import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Group } from '../../client/wire.ts'
import { exactTime, until } from '../format.ts'
import { Icon, markOf, StateMark } from '../icons.tsx'
import { address } from '../route.ts'
import { stepTime } from './picture.tsx'
import type { GroupSession } from './session.ts'
import { conditionWords, type NamedStep, type StepTimes, stepsOfGroup, stepWord } from './words.ts'

/** What a person is asked, who may answer until when, and the two answers. */
const Approval = ({ step, session, now }: { step: NamedStep; session: GroupSession; now: number }): JSX.Element | null => {
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  const asked = step.approval
  if (asked === null) return null
  const open = step.state === 'approval'
  const decide = async (verdict: 'approve' | 'reject'): Promise<void> => {
    setBusy(true)
    setFailure(await session.decide(step.name, verdict))
    setBusy(false)
  }
  const default_ = asked.default === 'approve' ? 'approved' : 'rejected'
  return (
    <div class="approval">
      {asked.message === null ? null : <p class="approval-message">{asked.message}</p>}
      <p class="quiet">
        {asked.decided_by !== null ? (
          <>
            {step.state === 'succeeded' ? 'Approved' : 'Rejected'} by {asked.decided_by}.
          </>
        ) : (
          <>
            {asked.by.length === 0 ? 'Anybody who may submit jobs decides.' : `${asked.by.join(' or ')} decides.`}{' '}
            {asked.deadline_at === null ? (
              // One that is given as a time from the question begins when it is asked.
              open && 'There is no deadline.'
            ) : (
              <span title={exactTime(asked.deadline_at)}>
                Unless somebody does, it counts as {default_} {until(asked.deadline_at, now)}.
              </span>
            )}
          </>
        )}
      </p>
      {asked.decided_by !== null || (!open && step.state !== 'waiting') ? null : (
        <p class="approval-foot">
          <button type="button" class="button primary" disabled={!open || busy} onClick={() => void decide('approve')} data-hook="approve">
            Approve <span class="unseen">{step.name}</span>
          </button>
          <button type="button" class="button" disabled={!open || busy} onClick={() => void decide('reject')} data-hook="reject">
            Reject <span class="unseen">{step.name}</span>
          </button>
        </p>
      )}
      {failure === null ? null : (
        <p class="problem" role="alert">
          {failure}
        </p>
      )}
    </div>
  )
}

const KINDS = { job: null, approval: 'approval', compensation: 'compensation', alert: 'alert' } as const

const Line = ({
  step,
  times,
  session,
  now,
}: {
  step: NamedStep
  times: StepTimes | undefined
  session: GroupSession
  now: number
}): JSX.Element => (
  <tr id={`step-${step.name}`} data-line={step.name} data-step-state={step.state}>
    <td>
      <span class="state">
        <StateMark state={markOf(step.state)} /> {stepWord(step)}
      </span>
    </td>
    <th scope="row">
      {step.job === null ? <span tabIndex={-1}>{step.name}</span> : <a href={address('jobs', step.job)}>{step.name}</a>}
      {KINDS[step.kind] === null ? null : (
        <span class="quiet">
          {' '}
          {KINDS[step.kind]} {step.kind === 'approval' ? <Icon name="person" /> : null}
        </span>
      )}
    </th>
    <td class="quiet narrow-off">{step.task ?? ''}</td>
    <td class="wrap">
      <span class="quiet">{conditionWords(step)}</span>
      {step.error === null ? null : <span class="problem step-error">{step.error.message}</span>}
      <Approval step={step} session={session} now={now} />
    </td>
    <td class="right">{stepTime(times, step.state, now)}</td>
  </tr>
)

/** The same as the picture, in words: for screen readers, for errors, and for what a person has to decide. */
export const StepTable = ({ group, session, now }: { group: Group; session: GroupSession; now: number }): JSX.Element => (
  <section class="step-table" aria-labelledby="step-table-title">
    <h2 id="step-table-title" class="unseen">
      Steps in words
    </h2>
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Step</th>
          <th scope="col" class="narrow-off">
            Report
          </th>
          <th scope="col">Runs</th>
          <th scope="col" class="right">
            Took
          </th>
        </tr>
      </thead>
      <tbody>
        {stepsOfGroup(group).map((step) => (
          <Line key={step.name} step={step} times={session.times.value.get(step.name)} session={session} now={now} />
        ))}
      </tbody>
    </table>
  </section>
)
