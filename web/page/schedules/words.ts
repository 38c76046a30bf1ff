import type { Schedule } from '../../client/wire.ts'

export const MISSED_WORDS: Record<Schedule['missed'], string> = {
  skip: 'leave them out',
  latest: 'run the latest',
  all: 'run each of them',
}
export const OVERLAP_WORDS: Record<Schedule['overlap'], string> = {
  skip: 'leave it out',
  queue: 'wait for the one before',
  allow: 'run beside it',
  cancel: 'cancel the one before',
}

/** An instant in a schedule's own zone: `Mon, 23 Nov, 06:00`. */
export const inZone = (instant: string | Date, tz: string): string => {
  try {
    return new Intl.DateTimeFormat(undefined, {
      weekday: 'short',
      day: 'numeric',
      month: 'short',
      hour: '2-digit',
      minute: '2-digit',
      timeZone: tz,
    }).format(typeof instant === 'string' ? Date.parse(instant) : instant)
  } catch {
    return ''
  }
}

export const localZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone
