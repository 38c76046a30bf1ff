import type { z } from 'zod'
import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { Sliced, SliceMessage } from '../../edge/contract/node.ts'

/**
 * What the node and its slice child say to each other, over Bun's IPC. Both ends are this program in the same version,
 * so the shapes are types and not schemas. The child trusts the node; the node believes nothing of what the child says
 * but the answer's text.
 */

/** What a child is told at its birth, as JSON in its only argument. */
export interface SandboxSettings {
  parent: number
  /** The tenant's own folder: working folder, files, spill and answers of this child alone. */
  folder: string
  threads: number
  /** DuckDB's limit for one open result. */
  memoryLimitBytes: number
  /** Limit of the whole process (RLIMIT_DATA), which also counts string heaps that DuckDB does not. */
  processLimitBytes: number
  maxSpillBytes: number
}

/** The files of one result, relative to the folder: a pack to prefer, Parquet to fall back on. */
export interface LocalResult {
  /** Names the open relation: result and file hashes. */
  key: string
  schema: ResultSchema
  rows: number
  pack: string | null
  parquet: string[]
}

export interface SliceTask {
  result: LocalResult
  query: SliceMessage['query']
  scope: SliceMessage['scope']
  format: SliceMessage['format']
  hash: string
  /** A longer answer goes to a file. */
  maxBodyBytes: number
  /** Relative to the folder; written only when the answer is long. */
  answerFile: string
}

/** What the node answers the edge. */
export type SliceOutcome = z.infer<typeof Sliced>['outcome']
export type SliceFaultCode = 'slice_failed' | 'slice_timeout' | 'invalid_slice' | 'unavailable'
/** `pack_unusable` stays between the two: the node then tries Parquet. */
export type ChildAnswer =
  | { ok: true; body: string }
  | { ok: true; stored: number }
  | { ok: false; code: SliceFaultCode | 'pack_unusable'; detail: string }

export type ToSandbox = { op: 'slice'; id: number; task: SliceTask } | { op: 'interrupt'; id: number } | { op: 'forget'; key: string }
export type FromSandbox = { kind: 'ready' } | { kind: 'answer'; id: number; answer: ChildAnswer }
