import type { ResultSchema } from '../contract/columns.ts'
import type { JobId } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import type { NodeFile } from '../contract/manifests.ts'
import {
  type Appended,
  type Base,
  type CommitContext,
  type CommitPlan,
  type Operation,
  planAppend,
  planDelete,
  planMerge,
} from '../iceberg/commit.ts'
import { dataFile } from '../iceberg/data-file.ts'
import { objectUri, tableLocation } from '../iceberg/location.ts'
import { asField } from '../iceberg/schema.ts'
import { first } from '../storage/store.ts'
import type { TableDeps } from './core.ts'
import type { FamilyRow } from './ensure.ts'

/** Jobs of one commit. Their ids stand in the snapshot's summary, and each kept snapshot is rewritten with every commit. */
export const MAX_BATCH_JOBS = 100
/** Data files of one commit, and bytes of inline files, which are put by the edge: a request each. */
export const MAX_BATCH_FILES = 800
export const MAX_BATCH_INLINE_BYTES = 8 * 1024 * 1024

/** A commit that was begun and whose end is not known yet. */
export interface Intent {
  snapshot: bigint
  operation: Operation
  /** How often it was begun; names the objects of each try. */
  tries: number
  /** What the commit stops naming, as addresses: manifest lists of expired snapshots, and metadata files. */
  expired: ExpiredList[]
  obsolete: string[]
}

interface ExpiredList {
  list: string
  /** Of the snapshot it belongs to. */
  sequence: number
}

interface IntentRow {
  snapshot: string
  operation: Operation
  tries: number
  expired: string
  obsolete: string
}

/** The intent row, the batch that belongs to it, and the plan of its next try. At most one exists at a time. */
export class Intents {
  readonly #deps: TableDeps
  constructor(deps: TableDeps) {
    this.#deps = deps
  }

  current(): Intent | null {
    const row = first<IntentRow>(this.#deps.store, 'SELECT snapshot, operation, tries, expired, obsolete FROM intent')
    return row
      ? {
          ...row,
          snapshot: BigInt(row.snapshot),
          expired: JSON.parse(row.expired) as ExpiredList[],
          obsolete: JSON.parse(row.obsolete) as string[],
        }
      : null
  }

  /** Chooses the batch and writes the intent. `move` takes each job of it over the transition table. */
  begin(operation: Operation, move: (job: JobId, event: 'begin_append' | 'begin_delete') => void): void {
    const { store, clock, randomId } = this.#deps
    const snapshot = String(randomId())
    const jobs = operation === 'append' ? this.#waiting() : operation === 'delete' ? this.#leaving() : []
    for (const job of jobs) {
      move(job, operation === 'append' ? 'begin_append' : 'begin_delete')
      store.run('UPDATE results SET batch = ? WHERE job = ?', snapshot, job)
    }
    store.run(
      "INSERT INTO intent (one, snapshot, operation, tries, manifests, expired, obsolete, begun) VALUES (1, ?, ?, 0, 0, '[]', '[]', ?)",
      snapshot,
      operation,
      clock(),
    )
  }

  #waiting(): JobId[] {
    const jobs: JobId[] = []
    let files = 0
    let inline = 0
    for (const row of this.#deps.store.all<{ job: JobId; files: number; inline: number }>(
      `SELECT job, (SELECT count(*) FROM files f WHERE f.job = r.job) AS files,
              (SELECT coalesce(sum(length(parquet)), 0) FROM files f WHERE f.job = r.job) AS inline
         FROM results r WHERE state = 'waiting' ORDER BY arrived, job LIMIT ?`,
      MAX_BATCH_JOBS,
    )) {
      files += row.files
      inline += row.inline
      if (jobs.length > 0 && (files > MAX_BATCH_FILES || inline > MAX_BATCH_INLINE_BYTES)) break
      jobs.push(row.job)
    }
    return jobs
  }

  #leaving(): JobId[] {
    return this.#deps.store
      .all<{ job: JobId }>("SELECT job FROM results WHERE state = 'leaving' ORDER BY arrived, job LIMIT ?", MAX_BATCH_JOBS)
      .map(({ job }) => job)
  }

  /** The next try of the intent on this base; what it will write is in the database before it is answered. */
  plan(family: FamilyRow, base: Base | null): { plan: CommitPlan; puts: { key: string; parquet: Uint8Array }[] } {
    const { store, bucket, clock } = this.#deps
    const intent = this.current()
    if (!intent) throw new Error('there is no intent to plan')
    const tries = intent.tries + 1
    const context: CommitContext = {
      base,
      uuid: family.uuid,
      location: tableLocation(bucket, family.tenant, family.family),
      columns: family.columns,
      snapshot: intent.snapshot,
      attempt: tries,
      nowMs: clock(),
    }
    const puts: { key: string; parquet: Uint8Array }[] = []
    const plan =
      intent.operation === 'append'
        ? this.#append(context, family, intent, puts)
        : intent.operation === 'delete'
          ? planDelete(context, this.#removed(family, intent))
          : planMerge(context)
    store.run(
      'UPDATE intent SET tries = ?, parent = ?, expected = ?, expired = ?, obsolete = ?',
      tries,
      plan.parent === null ? null : String(plan.parent),
      plan.expected,
      JSON.stringify(
        plan.expired.map((snapshot): ExpiredList => ({ list: snapshot['manifest-list'], sequence: snapshot['sequence-number'] })),
      ),
      JSON.stringify(plan.obsoleteMetadata),
    )
    return { plan, puts }
  }

  #append(context: CommitContext, family: FamilyRow, intent: Intent, puts: { key: string; parquet: Uint8Array }[]): CommitPlan {
    const { store, bucket } = this.#deps
    const jobs = store.all<{ job: JobId; attempt: number; schema: string | null; partition: string | null }>(
      'SELECT job, attempt, schema, partition FROM results LEFT JOIN schemas ON schemas.id = schema_id WHERE batch = ? ORDER BY arrived, job',
      String(intent.snapshot),
    )
    const appended: Appended[] = []
    for (const { job, attempt, schema, partition } of jobs) {
      const own = schema === null ? [] : (JSON.parse(schema) as ResultSchema).columns.map(asField).filter((field) => field !== null)
      const wished = partition === null ? [] : (JSON.parse(partition) as number[])
      for (const row of store.all<{ n: number; file: string; parquet: Uint8Array | null }>(
        'SELECT n, file, parquet FROM files WHERE job = ? ORDER BY n',
        job,
      )) {
        const key = dataKey(family.tenant, family.family, job, attempt, row.n)
        if (row.parquet) puts.push({ key, parquet: row.parquet })
        const file = JSON.parse(row.file) as NodeFile
        // A file without rows says nothing, and some readers stumble over it; it is kept for `result.parquet` only.
        if (file.rows === 0) continue
        const origin = { tenant: family.tenant, job, path: objectUri(bucket, key) }
        appended.push({ job, attempt, ...dataFile(origin, file, family.columns.fields, own, wished) })
      }
    }
    return planAppend(context, jobs, appended)
  }

  #removed(family: FamilyRow, intent: Intent): Parameters<typeof planDelete>[1] {
    return this.#deps.store
      .all<{ job: JobId; attempt: number; files: number; rows: number; bytes: number }>(
        'SELECT job, attempt, files, rows, bytes FROM results WHERE batch = ? ORDER BY arrived, job',
        String(intent.snapshot),
      )
      .map(({ attempt, ...row }) => ({
        ...row,
        prefix: objectUri(this.#deps.bucket, dataKey(family.tenant, family.family, row.job, attempt, 0)).replace(/0\.parquet$/, ''),
      }))
  }

  /** Its outcome is known: there is nothing under way any more. */
  end(): void {
    this.#deps.store.run('DELETE FROM intent')
  }
}
