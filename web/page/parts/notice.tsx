import type { ComponentChildren, JSX } from 'preact'
import { ApiError } from '../../client/wire.ts'
import { address, go } from '../route.ts'

export const Notice = (props: {
  title: string
  children?: ComponentChildren
  action?: { label: string; run: () => void }
  kind?: string
}): JSX.Element => (
  <div
    class={`notice notice-${props.kind ?? 'plain'}`}
    data-notice={props.kind ?? 'plain'}
    role={props.kind === 'failed' ? 'alert' : undefined}
  >
    <p class="notice-title">{props.title}</p>
    {props.children === undefined ? null : <p>{props.children}</p>}
    {props.action === undefined ? null : (
      <button type="button" class="button" onClick={props.action.run}>
        {props.action.label}
      </button>
    )}
  </div>
)

/** One sentence and one thing to do, for each way in which the server can say no. */
export const ErrorNotice = ({
  error,
  what,
  retry,
  instead = { label: 'Look at the jobs', run: () => go(address('jobs')) },
}: {
  error: Error
  what: string
  retry: () => void
  /** What to do when it is gone for good. */
  instead?: { label: string; run: () => void }
}): JSX.Element => {
  const again = { label: 'Try again', run: retry }
  if (error instanceof ApiError) {
    if (error.status === 0)
      return (
        <Notice kind="offline" title="The server does not answer." action={again}>
          {`${what} will be here as soon as it does. What is open stays open.`}
        </Notice>
      )
    if (error.status === 403)
      return (
        <Notice kind="forbidden" title={`Your token does not allow to see ${what.toLowerCase()}.`} action={again}>
          {error.message} Ask for a token with more rights.
        </Notice>
      )
    if (error.status === 404)
      return (
        <Notice kind="missing" title={`${what} cannot be found.`} action={again}>
          The address may be wrong, or it belongs to somebody else.
        </Notice>
      )
    if (error.status === 410)
      return (
        <Notice kind="gone" title={`${what} was deleted or has expired.`} action={instead}>
          {error.message}
        </Notice>
      )
  }
  return (
    <Notice kind="failed" title={`${what} could not be loaded.`} action={again}>
      {error.message}
    </Notice>
  )
}

/** Bars where text will be; they appear only when a wait is long enough to be seen. */
export const Skeleton = ({ lines, label }: { lines: number; label: string }): JSX.Element => (
  <div class="skeleton" role="status" aria-label={label}>
    {Array.from({ length: lines }, (_, at) => (
      <span key={at} style={{ width: `${[62, 88, 74, 40, 81, 55][at % 6]}%` }} />
    ))}
  </div>
)
