import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { isAbort } from '../../client/queue.ts'
import type { Page } from '../../client/wire.ts'

const REFRESH_MILLISECONDS = 3_000
const PAGE_ITEMS = 100

export interface Listed<Item> {
  items: Item[] | null
  error: Error | null
  /** Asks for the next page; null: there is none. */
  more: (() => void) | null
  reload: () => void
  /** Puts an item in the place of the one with its key. */
  put: (item: Item) => void
  /** Takes an item out. */
  drop: (key: string) => void
}

/**
 * A list of the server, page by page. Its newest page is renewed while one looks at it and `lives` says that something may
 * change; pages that were asked for stay below.
 */
export const useListed = <Item>(
  key: string,
  load: (options: { cursor?: string; limit: number; signal: AbortSignal }) => Promise<Page<Item>>,
  keyOf: (item: Item) => string,
  lives: (items: Item[]) => boolean,
): Listed<Item> => {
  const [items, setItems] = useState<Item[] | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const [next, setNext] = useState<string | null>(null)
  const [round, setRound] = useState(0)
  const latest = useRef({ load, keyOf, lives, items })
  latest.current = { load, keyOf, lives, items }

  useEffect(() => {
    const stop = new AbortController()
    const renew = async (): Promise<void> => {
      try {
        const page = await latest.current.load({ limit: PAGE_ITEMS, signal: stop.signal })
        const { items: before } = latest.current
        const fresh = new Set(page.items.map(keyOf))
        const last = page.items.at(-1)
        const at = before === null || last === undefined ? -1 : before.findIndex((item) => keyOf(item) === keyOf(last))
        // Older pages that were asked for stay below the renewed one; where the two do not meet, they would leave a gap.
        const older = page.next === null || at < 0 ? [] : (before?.slice(at + 1).filter((item) => !fresh.has(keyOf(item))) ?? [])
        setItems([...page.items, ...older])
        if (older.length === 0) setNext(page.next)
        setError(null)
      } catch (thrown) {
        if (!isAbort(thrown) && !stop.signal.aborted) setError(thrown instanceof Error ? thrown : new Error(String(thrown)))
      }
    }
    void renew()
    const look = (): void => {
      const now = latest.current
      if (document.visibilityState === 'visible' && (now.items === null || now.lives(now.items))) void renew()
    }
    const timer = setInterval(look, REFRESH_MILLISECONDS)
    const onFocus = (): void => void renew()
    addEventListener('focus', onFocus)
    return () => {
      stop.abort()
      clearInterval(timer)
      removeEventListener('focus', onFocus)
    }
  }, [key, round])

  const more = useCallback(() => {
    if (next === null) return
    latest.current.load({ cursor: next, limit: PAGE_ITEMS, signal: new AbortController().signal }).then(
      (page) => {
        setItems((before) => [...(before ?? []), ...page.items])
        setNext(page.next)
      },
      (thrown: unknown) => setError(thrown instanceof Error ? thrown : new Error(String(thrown))),
    )
  }, [next])

  return {
    items,
    error,
    more: next === null ? null : more,
    reload: useCallback(() => setRound((before) => before + 1), []),
    put: (item) => setItems((before) => before?.map((one) => (keyOf(one) === keyOf(item) ? item : one)) ?? null),
    drop: (gone) => setItems((before) => before?.filter((one) => keyOf(one) !== gone) ?? null),
  }
}
