import type { Phase } from '../../edge/contract/jobs.ts'
import type { Lease } from '../../edge/contract/node.ts'

/** A job that is over sooner sends no progress at all: it would cost the edge more than the job. */
export const FIRST_PROGRESS_MS = 150
/** Afterwards at most one message in this time, the last value only. */
export const PROGRESS_EVERY_MS = 300

export interface Reading {
  phase: Phase
  percent: number | null
  rows: number | null
  engine: string | null
}

export interface Timers {
  /** Returns what cancels it. */
  after(ms: number, run: () => void): () => void
}

/** Sends a job's progress now and then. `stop` when the run is over. */
export const throttledProgress = (
  lease: Lease,
  timers: Timers,
  send: (text: string) => void,
): { report(reading: Reading): void; stop(): void } => {
  let latest: Reading | null = null
  let sent = ''
  let cancel: (() => void) | null = null
  const tick = (): void => {
    cancel = timers.after(PROGRESS_EVERY_MS, tick)
    if (!latest) return
    const text = JSON.stringify({ type: 'progress', tenant: lease.tenant, job: lease.job, attempt: lease.attempt, ...latest })
    if (text === sent) return
    sent = text
    send(text)
  }
  cancel = timers.after(FIRST_PROGRESS_MS, tick)
  return {
    report: (reading) => {
      latest = {
        ...reading,
        percent: reading.percent === null ? null : Math.min(100, Math.max(0, Math.round(reading.percent * 10) / 10)),
        rows: reading.rows === null ? null : Math.max(0, Math.floor(reading.rows)),
      }
    },
    stop: () => {
      cancel?.()
      cancel = null
    },
  }
}
