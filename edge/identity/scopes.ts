/** What a person's or a service's token may do. In tokens: words of the claim `scope`, with blanks between. */
export const SCOPES = [
  'tasks:read',
  'tasks:sql',
  'jobs:submit',
  'jobs:read',
  'jobs:cancel',
  'jobs:delete',
  'results:read',
  'catalog:read',
  /** Queues and schedules. */
  'queues:manage',
] as const
export type Scope = (typeof SCOPES)[number]

const known: ReadonlySet<unknown> = new Set(SCOPES)
export const isScope = (word: unknown): word is Scope => known.has(word)
