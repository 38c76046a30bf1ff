import type { ComponentType, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ErrorNotice, Skeleton } from './notice.tsx'

/** A place whose code comes when it is first looked at, so that the first visit loads little. */
export const lazy = <Props extends object>(what: string, load: () => Promise<ComponentType<Props>>): ((props: Props) => JSX.Element) => {
  let Loaded: ComponentType<Props> | null = null
  return (props) => {
    const [, setRound] = useState(0)
    const [error, setError] = useState<Error | null>(null)
    const fetchIt = (): void => {
      setError(null)
      load().then(
        (component) => {
          Loaded = component
          setRound((before) => before + 1)
        },
        (thrown: unknown) => setError(thrown instanceof Error ? thrown : new Error(String(thrown))),
      )
    }
    useEffect(() => {
      if (Loaded === null) fetchIt()
    }, [])
    if (Loaded !== null) return <Loaded {...props} />
    return error === null ? (
      <Skeleton lines={6} label={`Loading ${what.toLowerCase()}`} />
    ) : (
      <ErrorNotice error={error} what={what} retry={fetchIt} />
    )
  }
}
