import { createHash } from 'node:crypto'
import type { Tag } from './lines.ts'

/** Stands first in what is hashed, so that a later canonical form can never meet an older one's hashes. */
const FORM = 'scarab.task.v1'

/**
 * A task's hash: SHA-256 over its name, the statement as the file writes it (line ends as LF) and the frontmatter, each
 * as JSON. Tags are sorted by name, because their order means nothing; the lines of one tag (`param`) keep theirs,
 * because it does. Unknown tags count. Where the file lies, and which sources a node has, do not: nodes with the same
 * file announce the same hash.
 */
export const taskHash = (name: string, statement: string, tags: readonly Tag[]): string => {
  const frontmatter = tags
    .map((tag, index) => ({ tag, index }))
    .sort((a, b) => (a.tag.name < b.tag.name ? -1 : a.tag.name > b.tag.name ? 1 : a.index - b.index))
    .map(({ tag }) => [tag.name, tag.value])
  return createHash('sha256')
    .update(JSON.stringify([FORM, name, statement, frontmatter]))
    .digest('hex')
}
