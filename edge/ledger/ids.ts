import { CROCKFORD, JobId, type TenantId } from '../contract/ids.ts'

const TIME_CHARS = 10
const TAG_CHARS = 6
const COUNTER_CHARS = 4
const RANDOM_CHARS = 6
const COUNTER_LIMIT = 32 ** COUNTER_CHARS

const encode = (value: number, chars: number): string => {
  let text = ''
  let rest = value
  for (let i = 0; i < chars; i++) {
    text = CROCKFORD.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}

const decode = (text: string): number => {
  let value = 0
  for (const char of text) value = value * 32 + CROCKFORD.indexOf(char)
  return value
}

/** The six characters by which an id says which ledger made it: FNV-1a over the tenant's name, 30 bits. */
export const ledgerTag = (tenant: TenantId): string => {
  let hash = 0x811c9dc5
  for (let i = 0; i < tenant.length; i++) hash = Math.imul(hash ^ tenant.charCodeAt(i), 0x01000193) >>> 0
  return encode((hash ^ (hash >>> 30)) & 0x3fffffff, TAG_CHARS)
}

/**
 * Makes ids that rise strictly within one ledger, also when the clock stands still or runs backwards: time is never
 * taken below that of the last id, and the counter goes on. `last` is the greatest id already given out.
 */
export const jobIds = (tenant: TenantId, last: JobId | null, now: () => number, random: (bytes: number) => Uint8Array): (() => JobId) => {
  const tag = ledgerTag(tenant)
  let time = last ? decode(last.slice(0, TIME_CHARS)) : 0
  let counter = last ? decode(last.slice(TIME_CHARS + TAG_CHARS, TIME_CHARS + TAG_CHARS + COUNTER_CHARS)) : 0
  return () => {
    const at = now()
    if (at > time) {
      time = at
      counter = 0
    } else if (++counter >= COUNTER_LIMIT) {
      time++
      counter = 0
    }
    const bytes = random(RANDOM_CHARS)
    let noise = ''
    for (const byte of bytes) noise += CROCKFORD.charAt(byte & 31)
    return JobId.parse(encode(time, TIME_CHARS) + tag + encode(counter, COUNTER_CHARS) + noise)
  }
}

/** Milliseconds since 1970 at which the id was made. */
export const timeOfJob = (id: JobId): number => decode(id.slice(0, TIME_CHARS))
