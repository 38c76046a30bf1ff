import type { AppContext } from './context.ts'

/**
 * A weak tag over a text (RFC 9110, section 8.8.3), 53 bits of it: whatever of the answer changes, progress too, changes the
 * tag. It tells whether to send the text again and guards nothing, so a hash that is quick is good enough.
 */
export const tagOf = (text: string): string => {
  let a = 0x811c9dc5
  let b = 0x9e3779b9
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return `W/"${text.length.toString(36)}-${(2 ** 21 * (b >>> 0) + (a >>> 11)).toString(36)}"`
}

/** `If-None-Match` (RFC 9110, section 13.1.2): weak comparison with each of a list, or with anything. */
export const isKnown = (header: string | undefined, tag: string): boolean => {
  if (header === undefined) return false
  const bare = tag.replace(/^W\//, '')
  return header.trim() === '*' || [...header.matchAll(/(?:W\/)?("[^"]*")/g)].some(([, one]) => one === bare)
}

/** JSON with its tag; 304 without a body for who has it already: a poll that brings nothing new costs next to nothing. */
export const taggedJson = (c: AppContext, body: unknown, headers: Record<string, string> = {}): Response => {
  const text = JSON.stringify(body)
  const etag = tagOf(text)
  // `no-cache`: kept by whoever likes, used only after it was asked for again with the tag.
  const all = { ...headers, etag, 'cache-control': 'private, no-cache', vary: 'Authorization' }
  if (isKnown(c.req.header('if-none-match'), etag)) return c.body(null, 304, all)
  return c.body(text, 200, { ...all, 'content-type': 'application/json' })
}
