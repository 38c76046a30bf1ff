import { batch, signal } from '@preact/signals'
import {
  ApiError,
  type Job,
  type JobEvent,
  type Mode,
  type Progress,
  type ProgressEvent,
  type ResultDocument,
  type Slice,
} from '../client/index.ts'
import { isAbort } from '../client/queue.ts'
import { stateWord } from './icons.tsx'
import { isLive, putJob } from './library.ts'
import { announce } from './parts/announce.tsx'
import { client } from './session.ts'
import type { Source } from './view-state.ts'

/** One job as its place sees it: followed while it runs, opened when it is done. */
export const openJobSession = (id: string, source: Source | null) => {
  const stop = new AbortController()
  const job = signal<Job | null>(null)
  const events = signal<JobEvent[]>([])
  const progress = signal<ProgressEvent | null>(null)
  const document = signal<ResultDocument | null>(null)
  const slice = signal<Slice | null>(null)
  const mode = signal<Mode>('preview')
  const copying = signal<Progress | null>(null)
  const error = signal<Error | null>(null)
  const resultError = signal<Error | null>(null)
  /** Why there is no local copy, where one was tried. */
  const copyError = signal<Error | null>(null)
  /** Seconds until the event stream is taken up again. */
  const reconnecting = signal<number | null>(null)

  const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)))

  const refresh = async (): Promise<void> => {
    const now = await client.job(id, stop.signal)
    job.value = now
    putJob(now)
  }

  const openResult = async (): Promise<void> => {
    if (document.value !== null) return
    try {
      const found = await client.result(id, stop.signal)
      const opened = await client.openResult(found, {
        signal: stop.signal,
        ...(source === 'parquet' ? { source } : source === 'server' ? { mode: 'remote' } : {}),
      })
      opened.on((event) => {
        if (event.type === 'progress') copying.value = event.progress
        else if (event.type === 'error') copyError.value = event.error
        else {
          batch(() => {
            mode.value = event.mode
            if (event.mode === 'local') copyError.value = null
            copying.value = null
          })
        }
      })
      batch(() => {
        document.value = found
        slice.value = opened
        // It may have settled before anybody could listen.
        mode.value = opened.mode
      })
    } catch (thrown) {
      if (!isAbort(thrown) && !stop.signal.aborted) resultError.value = asError(thrown)
    }
  }

  /** Applies an event to what is known of the job; the rest comes with `refresh`. */
  const apply = (event: JobEvent): void => {
    const before = job.value
    events.value = [...events.value, event]
    if (before === null) return
    const changed: Job = {
      ...before,
      state: event.state,
      seq: Math.max(before.seq, event.seq),
      ...(event.attempt === undefined ? {} : { attempt: event.attempt }),
      ...(event.publication === undefined ? {} : { publication: event.publication }),
      ...(event.rows === undefined ? {} : { rows: event.rows }),
      ...(event.error === undefined ? {} : { error: event.error }),
      ...(event.type === 'state' && event.state === 'running' ? { started_at: event.at } : {}),
    }
    job.value = changed
    putJob(changed)
  }

  const follow = async (): Promise<void> => {
    try {
      await refresh()
      const begun = job.value
      if (begun !== null && isLive(begun)) client.warmUp()
      if (begun?.state === 'succeeded') void openResult()
      let wasLive = begun !== null && isLive(begun)
      for await (const seen of client.watch(id, { until: 'published', signal: stop.signal })) {
        if (seen.type === 'connection') reconnecting.value = seen.seconds
        else if (seen.type === 'progress') progress.value = seen.progress
        else if (seen.type === 'reset') await refresh()
        else {
          // Events of the past are history; only the last one tells the state of now.
          const isNow = begun === null || seen.event.seq > begun.seq
          if (!isNow) {
            events.value = [...events.value, seen.event]
            continue
          }
          apply(seen.event)
          if (seen.event.type === 'state') announce(`${stateWord(seen.event.state)}.`)
          if (seen.event.state === 'succeeded' && wasLive) {
            wasLive = false
            void openResult()
            void refresh().catch(() => undefined)
          } else if (seen.event.type !== 'state' || !isLive({ ...(job.value ?? begun), state: seen.event.state } as Job))
            void refresh().catch(() => undefined)
        }
      }
    } catch (thrown) {
      if (!isAbort(thrown) && !stop.signal.aborted) error.value = asError(thrown)
    }
  }
  void follow()

  return {
    id,
    job,
    events,
    progress,
    document,
    slice,
    mode,
    copying,
    error,
    resultError,
    copyError,
    reconnecting,
    cancel: async (): Promise<string> => {
      try {
        const now = await client.cancel(id)
        job.value = now
        putJob(now)
        return now.state === 'cancelled' ? 'The job is cancelled.' : 'The job was asked to stop.'
      } catch (thrown) {
        return thrown instanceof ApiError ? thrown.message : 'The job could not be cancelled.'
      }
    },
    retryResult: (): void => {
      resultError.value = null
      void openResult()
    },
    close: (): void => {
      stop.abort()
      slice.value?.close()
    },
  }
}

export type JobSession = ReturnType<typeof openJobSession>
