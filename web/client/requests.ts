/** How requests of several resources are put together. */

export interface ListOptions {
  /** `next` of the page before. */
  cursor?: string | undefined
  limit?: number | undefined
  signal?: AbortSignal | undefined
}

export const withSignal = (signal: AbortSignal | undefined): RequestInit => (signal ? { signal } : {})

/** `?cursor=…&limit=…` and whatever else has a value. */
export const listQuery = ({ signal: _, ...fields }: ListOptions & Record<string, string | number | AbortSignal | undefined>): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value))
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

export const posted = (
  body: unknown,
  { idempotencyKey, signal }: { idempotencyKey?: string | undefined; signal?: AbortSignal | undefined } = {},
): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) },
  body: JSON.stringify(body),
  ...withSignal(signal),
})
