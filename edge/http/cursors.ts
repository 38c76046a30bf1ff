import type { z } from 'zod'
import { Problem } from '../contract/problems.ts'

/** A cursor is a list's letter and the id of the last item that was shown; clients take it as it is. */
export const cursorAfter = (list: string, id: string | null): string | null =>
  id === null ? null : btoa(`${list}:${id}`).replace(/=+$/, '')

/** The id in a cursor of this list; null without a cursor. Throws `invalid_cursor` for anything else. */
export const idBehind = <Id extends z.ZodType>(list: string, schema: Id, cursor: string | undefined): z.infer<Id> | null => {
  if (cursor === undefined) return null
  let text = ''
  try {
    text = atob(cursor)
  } catch {
    // Not base64: refused below.
  }
  const parsed = schema.safeParse(text.startsWith(`${list}:`) ? text.slice(list.length + 1) : null)
  if (!parsed.success) throw new Problem('invalid_cursor', 'The cursor is not one that this list gave out. Begin without a cursor.')
  return parsed.data
}
