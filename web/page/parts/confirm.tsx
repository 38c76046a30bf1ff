import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Asks before something that cannot be undone. `run` answers what went wrong, or null. */
export const Confirm = ({
  title,
  children,
  verb,
  run,
  close,
}: {
  title: string
  children?: ComponentChildren
  verb: string
  run: () => Promise<string | null>
  close: () => void
}): JSX.Element => {
  const dialog = useRef<HTMLDialogElement | null>(null)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  useEffect(() => dialog.current?.showModal(), [])
  const doIt = async (): Promise<void> => {
    setBusy(true)
    const problem = await run()
    setBusy(false)
    if (problem === null) dialog.current?.close()
    else setFailure(problem)
  }
  return (
    <dialog class="ask" ref={dialog} onClose={close} aria-labelledby="ask-title" data-hook="ask">
      <h2 id="ask-title">{title}</h2>
      {children === undefined ? null : <p>{children}</p>}
      {failure === null ? null : (
        <p class="problem" role="alert">
          {failure}
        </p>
      )}
      <div class="ask-foot">
        <button type="button" class="button danger" disabled={busy} onClick={() => void doIt()} data-hook="ask-yes">
          {verb}
        </button>
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          Leave it
        </button>
      </div>
    </dialog>
  )
}
