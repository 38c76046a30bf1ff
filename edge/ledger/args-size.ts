import type { Argument } from '../contract/tasks.ts'
import { MAX_JOB_ARGS_BYTES } from './limits.ts'

/** No character takes more bytes in UTF-8 than this, of those that count as one in `length`. */
const MOST_BYTES = 3

/** What is wrong with the size of a job's arguments; null: nothing. They stand in one column of one row. */
export const oversize = (args: readonly Argument[]): string | null => {
  const text = JSON.stringify(args)
  if (text.length * MOST_BYTES <= MAX_JOB_ARGS_BYTES) return null
  const bytes = new TextEncoder().encode(text).length
  return bytes <= MAX_JOB_ARGS_BYTES ? null : `The arguments have ${bytes} bytes as JSON; a job takes ${MAX_JOB_ARGS_BYTES} at most.`
}
