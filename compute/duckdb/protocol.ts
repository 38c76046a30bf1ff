/**
 * What the node and its DuckDB child say to each other, over Bun's IPC. Both ends are this program in the same
 * version, so the shapes are types and not schemas.
 */

/** A DuckDB type as a tree. `name` is DuckDB's own word: BIGINT, DECIMAL, STRUCT … */
export interface DuckdbType {
  name: string
  /** `JSON` for a VARCHAR that holds JSON. */
  alias?: string | undefined
  width?: number | undefined
  scale?: number | undefined
  /** Of LIST and ARRAY. */
  element?: DuckdbType | undefined
  /** Of MAP. */
  key?: DuckdbType | undefined
  value?: DuckdbType | undefined
  /** Of STRUCT, in order. */
  fields?: { name: string; type: DuckdbType }[] | undefined
}

export interface DescribedColumn {
  name: string
  type: DuckdbType
}

export interface Described {
  /** One for each `$n` from 1 to the highest; null where DuckDB cannot tell without a value. */
  parameters: (string | null)[]
  /** Null: they cannot be known without values. */
  columns: DescribedColumn[] | null
}

/** A value for `$n`: its text, and the DuckDB type that DuckDB itself shall read it as; null: whatever the place wants. */
export interface BoundValue {
  text: string | null
  type: string | null
}

/** A cell as DuckDB's lossless JSON conversion gives it: 64-bit integers, decimals and times are strings. */
export type Cell = string | number | boolean | null | Cell[] | { [name: string]: Cell }

export interface Sandbox {
  /** Where relative file names of statements begin. */
  folder: string
  /** Folders (with what is below) that statements may touch, all else is refused; null: no limit, for our own statements only. */
  allowed: string[] | null
  /** Statements of ours, run before the settings are locked (an ATTACH, say). */
  setup?: string[]
}

export interface Requests {
  open: Sandbox
  describe: { sql: string; values: BoundValue[] | null }
  run: { sql: string; values: BoundValue[] }
  digest: { path: string }
  /** Lets statements read `path` from `pipe`, which is made, while it is being written. */
  follow: { path: string; pipe: string }
  close: Record<never, never>
}

export interface Answers {
  open: null
  describe: Described
  run: { rows: Cell[][] }
  digest: { bytes: number; sha256: string }
  follow: null
  /** `grownBytes`: how much of `growthLimitBytes` stays taken. DuckDB's allocator keeps the addresses of memory that it gives back. */
  close: { rssBytes: number; grownBytes: number }
}

export type Op = keyof Requests

export type ToChild =
  | { [O in Op]: { op: O; id: number; request: Requests[O] } }[Op]
  | { op: 'interrupt' }
  /** The followed file has so many bytes; `ended`: and will have no more. */
  | { op: 'grown'; bytes: number; ended: boolean }

export type FromChild =
  | { kind: 'ready'; version: string }
  | { kind: 'answer'; id: number; answer: Answers[Op] }
  /** `code` is set for faults the child itself found; null: the message is DuckDB's. */
  | { kind: 'error'; id: number; code: string | null; message: string }
  | { kind: 'progress'; percent: number | null; rows: number | null }

/** What a child is told at its birth, as JSON in its only argument. */
export interface ChildSettings {
  parent: number
  threads: number
  memoryLimitBytes: number
  /** What the process may take beyond its state at birth (RLIMIT_DATA): also counts what DuckDB's own limit does not see. */
  growthLimitBytes: number
  tempFolder: string
  maxSpillBytes: number | null
}
