import type { Column, ResultSchema } from '../contract/columns.ts'
import type { Family, TenantId } from '../contract/ids.ts'
import { evolve } from '../iceberg/evolve.ts'
import { type FamilyColumns, type Field, newFamilyColumns } from '../iceberg/schema.ts'
import { DEFAULT_PARTITION } from '../iceberg/specs.ts'
import { first, type Store } from '../storage/store.ts'

export interface EnsureRequest {
  tenant: TenantId
  family: Family
  /** The query's columns in its order; ids in them are ignored. */
  columns: Column[]
  /** The task's `partition_by`, or null for the default. */
  partition_by: string[] | null
}

export type EnsureAnswer = { ok: true; schema: ResultSchema } | { ok: false; code: 'schema_drift' | 'unkeepable_column'; detail: string }

/** What a family's database says about it. */
export interface FamilyRow {
  tenant: TenantId
  family: Family
  uuid: string
  columns: FamilyColumns
}

export const familyRow = (store: Store): FamilyRow | null => {
  const row = first<{ tenant: TenantId; family: Family; uuid: string; columns: string }>(
    store,
    'SELECT tenant, family, uuid, columns FROM family',
  )
  return row ? { ...row, columns: JSON.parse(row.columns) as FamilyColumns } : null
}

/** Four lanes of FNV-1a: short and stable, not secret. Two mappings of one family that collide are told apart below. */
const shortHash = (text: string): string => {
  const lanes = [0x811c9dc5, 0x01000193, 0x9e3779b9, 0x85ebca6b]
  for (let i = 0; i < text.length; i++)
    for (let lane = 0; lane < lanes.length; lane++)
      lanes[lane] = Math.imul((lanes[lane] ?? 0) ^ (text.charCodeAt(i) + lane * 0x3d), 0x01000193) >>> 0
  return lanes.map((lane) => lane.toString(16).padStart(8, '0')).join('')
}

/** Field ids to partition by, or what is wrong with the wish. */
const partitionSources = (wish: string[] | null, fields: readonly Field[], yielded: ResultSchema): number[] | string => {
  if (wish === null || wish.length === 0) return [...DEFAULT_PARTITION]
  const own = new Set<string>([...yielded.columns.map((column) => column.name), ...yielded.added])
  const sources: number[] = []
  for (const name of wish) {
    const field = fields.find((candidate) => candidate.name === name)
    if (!field || !own.has(name)) return `partition_by names ${JSON.stringify(name)}, which the query does not yield`
    if (typeof field.type !== 'string') return `partition_by names ${JSON.stringify(name)}, which is nested: name a plain column`
    if (sources.includes(field.id)) return `partition_by names ${JSON.stringify(name)} twice`
    sources.push(field.id)
  }
  return sources
}

/** A new family has the system columns only. Runs inside the caller's transaction. */
export const createFamily = (store: Store, tenant: TenantId, family: Family, uuid: string): FamilyRow => {
  const columns = newFamilyColumns()
  store.run('INSERT INTO family (one, tenant, family, uuid, columns) VALUES (1, ?, ?, ?, ?)', tenant, family, uuid, JSON.stringify(columns))
  return { tenant, family, uuid, columns }
}

/**
 * Fits a query's columns into the family and gives every column its field id, for ever. No request is made: the table's
 * metadata follows with the next commit. Equal requests get equal answers. Runs inside the caller's transaction.
 */
export const ensureSchema = (store: Store, request: EnsureRequest): EnsureAnswer => {
  const row = familyRow(store)
  if (!row) throw new Error('the family was not created')
  const evolution = evolve(row.columns, request.columns)
  if (!evolution.ok) return evolution
  const mapping: ResultSchema = { id: '', columns: evolution.yielded, added: evolution.added }
  const sources = partitionSources(request.partition_by, evolution.columns.fields, mapping)
  if (typeof sources === 'string') return { ok: false, code: 'unkeepable_column', detail: sources }
  if (evolution.columns !== row.columns) store.run('UPDATE family SET columns = ?', JSON.stringify(evolution.columns))
  const partition = JSON.stringify(sources)
  const text = JSON.stringify([mapping.columns, mapping.added, sources])
  for (let salt = 0; ; salt++) {
    const id = shortHash(salt === 0 ? text : `${text}#${salt}`)
    const schema: ResultSchema = { ...mapping, id }
    const known = first<{ schema: string; partition: string }>(store, 'SELECT schema, partition FROM schemas WHERE id = ?', id)
    if (known && (known.schema !== JSON.stringify(schema) || known.partition !== partition)) continue
    if (!known) store.run('INSERT INTO schemas (id, schema, partition) VALUES (?, ?, ?)', id, JSON.stringify(schema), partition)
    return { ok: true, schema }
  }
}
