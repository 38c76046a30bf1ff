import type { StoredObject } from './bucket.ts'

export interface Conditions {
  ifMatch: string | null
  ifNoneMatch: string | null
  ifModifiedSince: string | null
  ifUnmodifiedSince: string | null
}

const names = (list: string, etag: string): boolean =>
  list.split(',').some((item) => {
    const name = item.trim()
    // Some clients send the etag without its quotes.
    return name === '*' || name === etag || `"${name}"` === etag || name === `W/${etag}`
  })

/** HTTP dates have no fractions of a second. */
const seconds = (ms: number): number => Math.floor(ms / 1_000)

/** Preconditions of a GET or HEAD in RFC 9110's order (section 13.2.2). Dates that are none are ignored. */
export const judge = (conditions: Conditions, object: Pick<StoredObject, 'httpEtag' | 'uploaded'>): 'go_on' | 'failed' | 'not_modified' => {
  const changed = seconds(object.uploaded.getTime())
  if (conditions.ifMatch !== null) {
    if (!names(conditions.ifMatch, object.httpEtag)) return 'failed'
  } else if (conditions.ifUnmodifiedSince !== null && changed > seconds(Date.parse(conditions.ifUnmodifiedSince))) return 'failed'
  if (conditions.ifNoneMatch !== null) return names(conditions.ifNoneMatch, object.httpEtag) ? 'not_modified' : 'go_on'
  if (conditions.ifModifiedSince !== null && changed <= seconds(Date.parse(conditions.ifModifiedSince))) return 'not_modified'
  return 'go_on'
}
