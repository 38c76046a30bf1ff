import { batch, signal } from '@preact/signals'
import { isAbort } from '../../client/queue.ts'
import type { Group } from '../../client/wire.ts'
import { stateWord } from '../icons.tsx'
import { announce } from '../parts/announce.tsx'
import { client } from '../session.ts'
import { applyEvent, applyTimes, isLiveGroup, type StepTimes } from './words.ts'

/** Events that come together are shown together: drawing two hundred steps for each of four hundred events takes seconds. */
const GATHER_MILLISECONDS = 30

/** One group as its place sees it, followed while it lives. */
export const openGroupSession = (id: string) => {
  const stop = new AbortController()
  const group = signal<Group | null>(null)
  const times = signal<ReadonlyMap<string, StepTimes>>(new Map())
  const error = signal<Error | null>(null)
  /** Seconds until the event stream is taken up again. */
  const reconnecting = signal<number | null>(null)
  let following = false
  /** What is known; shown a moment later. */
  let latest: Group | null = null
  let known: ReadonlyMap<string, StepTimes> = new Map()
  let gathering: ReturnType<typeof setTimeout> | null = null

  const show = (): void => {
    if (gathering !== null) clearTimeout(gathering)
    gathering = null
    batch(() => {
      group.value = latest
      times.value = known
    })
  }
  const showSoon = (): void => {
    gathering ??= setTimeout(show, GATHER_MILLISECONDS)
  }

  const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)))

  const take = (now: Group): void => {
    // An answer that was overtaken by events tells nothing new.
    if (latest === null || now.seq >= latest.seq) latest = now
    show()
    if (!following && isLiveGroup(now)) void follow()
  }
  const refresh = async (): Promise<void> => take(await client.groups.get(id, stop.signal))

  const follow = async (): Promise<void> => {
    following = true
    try {
      // From the beginning: the events tell when each step began and ended.
      known = new Map()
      for await (const seen of client.groups.watch(id, { signal: stop.signal })) {
        if (seen.type === 'connection') {
          reconnecting.value = seen.seconds
          continue
        }
        if (seen.type === 'reset') {
          await refresh()
          continue
        }
        const { event } = seen
        known = applyTimes(known, event)
        showSoon()
        const before = latest
        if (before === null || event.seq <= before.seq) continue
        latest = applyEvent(before, event)
        if (event.type === 'group') announce(`The group: ${stateWord(event.state)}.`)
        else if (event.step_state === 'approval' || event.step_state === 'failed')
          announce(`${event.step}: ${stateWord(event.step_state)}.`)
        // Deadlines and who decided are in the group itself only.
        if (event.type === 'group' || (event.step !== undefined && before.steps[event.step]?.kind === 'approval'))
          void refresh().catch(() => undefined)
      }
    } catch (thrown) {
      if (!isAbort(thrown) && !stop.signal.aborted) error.value = asError(thrown)
    } finally {
      following = false
      reconnecting.value = null
    }
  }

  const begin = async (): Promise<void> => {
    try {
      latest = await client.groups.get(id, stop.signal)
      show()
      void follow()
    } catch (thrown) {
      if (!isAbort(thrown) && !stop.signal.aborted) error.value = asError(thrown)
    }
  }
  void begin()

  /** Does something to the group; answers what to tell when it was refused. */
  const act = async (what: Promise<Group>): Promise<string | null> => {
    try {
      take(await what)
      return null
    } catch (thrown) {
      void refresh().catch(() => undefined)
      return asError(thrown).message
    }
  }

  return {
    id,
    group,
    times,
    error,
    reconnecting,
    cancel: () => act(client.groups.cancel(id)),
    /** The group that runs the rest again, or what to tell. */
    retry: async (): Promise<Group | string> => {
      try {
        return await client.groups.retry(id)
      } catch (thrown) {
        return asError(thrown).message
      }
    },
    decide: (step: string, verdict: 'approve' | 'reject') => act(client.groups.decide(id, step, verdict)),
    close: (): void => {
      stop.abort()
      if (gathering !== null) clearTimeout(gathering)
    },
  }
}

export type GroupSession = ReturnType<typeof openGroupSession>
