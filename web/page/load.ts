import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { isAbort } from '../client/queue.ts'

export interface Loaded<T> {
  value: T | null
  error: Error | null
  loading: boolean
  reload: () => void
}

/**
 * Loads something when `key` changes, and again on `reload`; what comes late for an old key is dropped. The old value stays
 * while the new one is on its way, unless the key is another.
 */
export const useLoad = <T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> => {
  const [state, setState] = useState<{ key: string; value: T | null; error: Error | null; loading: boolean }>({
    key,
    value: null,
    error: null,
    loading: true,
  })
  const [round, setRound] = useState(0)
  const latest = useRef(load)
  latest.current = load
  useEffect(() => {
    const stop = new AbortController()
    setState((before) => ({ key, value: before.key === key ? before.value : null, error: null, loading: true }))
    latest.current(stop.signal).then(
      (value) => {
        if (!stop.signal.aborted) setState({ key, value, error: null, loading: false })
      },
      (error: unknown) => {
        if (stop.signal.aborted || isAbort(error)) return
        setState((before) => ({
          key,
          value: before.key === key ? before.value : null,
          error: error instanceof Error ? error : new Error(String(error)),
          loading: false,
        }))
      },
    )
    return () => stop.abort()
  }, [key, round])
  const reload = useCallback(() => setRound((before) => before + 1), [])
  return { value: state.key === key ? state.value : null, error: state.key === key ? state.error : null, loading: state.loading, reload }
}

/** The time, renewed every `milliseconds` while `on`. */
export const useClock = (milliseconds: number, on = true): number => {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    if (!on) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), milliseconds)
    return () => clearInterval(timer)
  }, [milliseconds, on])
  return now
}
