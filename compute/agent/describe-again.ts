import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import type { Catalogue } from '../tasks/catalogue.ts'
import type { PlanTask } from '../tasks/describe.ts'

/** A source that was down at the start is asked again after this long, then after twice that, up to the longest. */
const FIRST_PAUSE_MS = 10_000
const LONGEST_PAUSE_MS = 5 * 60_000

export interface Describing {
  catalogue: Catalogue
  sources: readonly Source[]
  plan: PlanTask
  signal: AbortSignal
  /** Told at the first round, and whenever a later round changed something. */
  changed(catalogue: Catalogue): void
  pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

const couldNotBeDescribed = ({ error }: AnnouncedTask): boolean => error !== null

/** Describes all tasks, and those again that no source could describe, until all are known or the signal ends it. */
export const keepDescribing = async ({ catalogue, sources, plan, signal, changed, pause = sleep }: Describing): Promise<void> => {
  let now = await catalogue.described({ sources, plan, signal })
  if (signal.aborted) return
  changed(now)
  for (let wait = FIRST_PAUSE_MS; now.tasks.some(couldNotBeDescribed); wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    await pause(wait, signal)
    if (signal.aborted) return
    const next = await catalogue.described({ sources, plan, signal })
    if (signal.aborted) return
    const before = JSON.stringify(now.announcements())
    now = next
    if (JSON.stringify(next.announcements()) !== before) changed(next)
  }
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
