import { Problem } from '../contract/problems.ts'
import type { AppContext } from './context.ts'

/** A request may wait for a job's end this long. */
export const MAX_WAIT_SECONDS = 30

/** `Prefer: wait=N` (RFC 7240, section 4.3), cut to what is granted; 0 when not asked. Unknown preferences are ignored, as the RFC demands. */
export const preferredWait = (c: AppContext): number => {
  const header = c.req.header('prefer')
  if (header === undefined) return 0
  const [, named, seconds = ''] = /(?:^|[,;])\s*(wait)\s*(?:=\s*"?([^",;\s]*)"?\s*)?(?:$|[,;])/i.exec(header) ?? []
  if (named === undefined) return 0
  if (!/^\d{1,9}$/.test(seconds)) throw new Problem('invalid_header', `Prefer: wait takes whole seconds, not "${seconds.slice(0, 50)}".`)
  return Math.min(Number(seconds), MAX_WAIT_SECONDS)
}

/** `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): 1 to 255 printable characters, quotes around it are dropped. */
export const idempotencyKey = (c: AppContext): string | null => {
  const header = c.req.header('idempotency-key')
  if (header === undefined) return null
  const key = header.replace(/^"(.*)"$/, '$1')
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    throw new Problem('invalid_header', 'Idempotency-Key takes 1 to 255 printable ASCII characters without blanks.')
  return key
}

/** A parameter of the query string that may be given once: of two values one would be dropped without a word. */
export const queryOf = (c: AppContext, name: string): string | undefined => {
  const values = c.req.queries(name) ?? []
  if (values.length > 1)
    throw new Problem(
      'invalid_parameter',
      `${name} was given ${values.length} times (${values
        .slice(0, 3)
        .map((value) => `"${value.slice(0, 50)}"`)
        .join(', ')}): give it once.`,
    )
  return values[0]
}

/** A whole number in the query string, or the default. */
export const queryInteger = (c: AppContext, name: string, fallback: number, least: number, most: number): number => {
  const text = queryOf(c, name)
  if (text === undefined) return fallback
  const value = Number(text)
  if (!/^\d{1,15}$/.test(text) || value < least || value > most)
    throw new Problem('invalid_parameter', `${name} is a whole number from ${least} to ${most}, not "${text.slice(0, 50)}".`)
  return value
}

/** Answers must not become script, whatever a cell holds (architecture, section 7). */
export const DATA_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "sandbox; default-src 'none'",
  'cross-origin-resource-policy': 'same-origin',
} as const

export const attachment = (name: string): string => `attachment; filename="${name.replace(/[^A-Za-z0-9._-]/g, '_')}"`
