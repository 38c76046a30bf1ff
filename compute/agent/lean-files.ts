import type { Column } from '../../edge/contract/columns.ts'
import type { NodeFile } from '../../edge/contract/manifests.ts'

/** A manifest is one row of the ledger, which ends at 2 MB: so many statistics, at about 200 bytes each, leave room for the rest. */
export const MAX_STATS = 5_000

/**
 * The files of a manifest, with fewer statistics where many files have many columns: they only help readers to skip
 * files, and Iceberg's own default keeps those of the first columns. The columns that the family is partitioned
 * by keep theirs, for the partition's values come from them.
 */
export const leanFiles = (files: NodeFile[], columns: readonly Column[], partitionBy: readonly string[] | null): NodeFile[] => {
  const all = files.reduce((sum, { stats }) => sum + stats.length, 0)
  if (all <= MAX_STATS) return files
  const needed = new Set(columns.filter(({ name }) => partitionBy?.includes(name)).map(({ id }) => id))
  const each = Math.max(0, Math.floor(MAX_STATS / files.length) - needed.size)
  return files.map((file) => {
    let left = each
    return { ...file, stats: file.stats.filter(({ field }) => needed.has(field) || left-- > 0) }
  })
}
