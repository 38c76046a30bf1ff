import type { Column, ResultSchema } from '../contract/columns.ts'
import { dataKey } from '../contract/keys.ts'
import type { UnsignedManifest } from '../contract/manifests.ts'
import { asField, leaves } from '../iceberg/schema.ts'
import { partitionValue } from '../iceberg/single-value.ts'
import { first, type Store } from '../storage/store.ts'
import type { FamilyRow } from './ensure.ts'

/** A result as the ledger hands it over. `inline_parquet` is set for a small result whose file the edge has yet to put. */
export interface Publication {
  manifest: UnsignedManifest
  inline_parquet: Uint8Array | null
}

/** The columns' ids, names and types, whatever the order of keys in their JSON. */
const shape = (columns: readonly Column[]): string => {
  const fields = columns.map(asField)
  return fields.every((field) => field !== null) ? JSON.stringify(leaves(fields)) : 'ids are missing'
}

/**
 * Says why a result cannot be appended, or null. Only what can never become right is refused: a wrong file that got
 * into a commit would hold up everybody else's results in the same batch.
 */
export const judge = (store: Store, family: FamilyRow, { manifest, inline_parquet }: Publication): string | null => {
  if (manifest.tenant !== family.tenant || manifest.family !== family.family)
    return `the result belongs to ${manifest.tenant}/${manifest.family}, not to ${family.tenant}/${family.family}`
  const known = first<{ schema: string }>(store, 'SELECT schema FROM schemas WHERE id = ?', manifest.schema_id)
  if (!known) return `schema ${manifest.schema_id} was never ensured for ${manifest.family}`
  const schema = JSON.parse(known.schema) as ResultSchema
  if (shape(schema.columns) !== shape(manifest.columns)) return `the result's columns are not those of schema ${schema.id}`
  const seen = new Set<number>()
  for (const file of manifest.files) {
    if (seen.has(file.n)) return `file ${file.n} is named twice`
    seen.add(file.n)
    if (file.key !== dataKey(manifest.tenant, manifest.family, manifest.job, manifest.attempt, file.n))
      return `file ${file.n} does not lie where attempt ${manifest.attempt} of ${manifest.job} writes`
  }
  const undated = manifest.files.find((file) => typeof partitionValue('date', file.run_date) !== 'number')
  if (undated) return `file ${undated.n} has run_date ${JSON.stringify(undated.run_date)}, which is not a date`
  const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0)
  if (rows !== manifest.rows) return `its files have ${rows} rows, but the manifest says ${manifest.rows}`
  if (manifest.inline && manifest.files.length > 0) {
    const only = manifest.files[0]
    if (!only || manifest.files.length > 1) return `an inline result has one file, not ${manifest.files.length}`
    if (!inline_parquet) return 'the bytes of the inline result are missing'
    if (inline_parquet.length !== only.bytes)
      return `the inline result has ${inline_parquet.length} bytes, but the manifest says ${only.bytes}`
  }
  return null
}
