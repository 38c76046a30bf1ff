import { z } from 'zod'

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const
/** A century: what lies above is a slip of the pen, and dates near it overflow elsewhere. */
export const MAX_DURATION_SECONDS = 100 * 365 * 86_400

/** `90s`, `1h30m`, `2w` in seconds; null for anything else. Larger units before smaller ones, each once. */
export const secondsOf = (text: string): number | null => {
  if (!/^(\d{1,12}[smhdw])+$/.test(text)) return null
  let seconds = 0
  let smallest = Number.POSITIVE_INFINITY
  for (const [, digits = '', unit = ''] of text.matchAll(/(\d+)([smhdw])/g)) {
    const factor = Object.entries(UNIT_SECONDS).find(([name]) => name === unit)?.[1] ?? 0
    if (factor >= smallest) return null
    smallest = factor
    seconds += Number(digits) * factor
  }
  return seconds >= 1 && seconds <= MAX_DURATION_SECONDS ? seconds : null
}

/** A length of time: whole seconds, or a text such as `90s`, `10m`, `1h30m`, `30d`, `2w`. */
export const Duration = z.union([
  z.int().min(1).max(MAX_DURATION_SECONDS),
  z
    .string()
    .max(40)
    .refine(
      (text) => secondsOf(text) !== null,
      'a duration is whole seconds, or a text such as 90s, 10m, 1h30m, 30d or 2w; from a second to a century (36500d)',
    ),
])
export type Duration = z.infer<typeof Duration>

/** A checked duration in seconds. */
export const toSeconds = (duration: Duration): number => (typeof duration === 'number' ? duration : (secondsOf(duration) ?? 0))
