import { first } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { MAX_SLICES_PER_RESULT } from './limits.ts'

/** How many go at once when there are too many: to find the oldest all must be sorted, which each new one should not pay for. */
const SLICES_AT_ONCE = 100

/**
 * Keeps the normal form of a slice, so that its immutable address can be answered; the oldest of too many go. True when it was
 * known: only then can its answer be stored already.
 */
export const rememberSlice = (
  { store, now }: Pick<LedgerContext, 'store' | 'now'>,
  result: string,
  hash: string,
  query: string,
): boolean => {
  if (first(store, 'SELECT hash FROM slices WHERE result = ? AND hash = ?', result, hash)) return true
  store.run('INSERT INTO slices (result, hash, query, at) VALUES (?, ?, ?, ?)', result, hash, query, now())
  const kept = first<{ n: number }>(store, 'SELECT count(*) AS n FROM slices WHERE result = ?', result)?.n ?? 0
  if (kept > MAX_SLICES_PER_RESULT)
    store.run(
      'DELETE FROM slices WHERE result = ? AND hash IN (SELECT hash FROM slices WHERE result = ? ORDER BY at, hash DESC LIMIT ?)',
      result,
      result,
      SLICES_AT_ONCE,
    )
  return false
}

export const sliceQuery = (context: LedgerContext, result: string, hash: string): string | null =>
  first<{ query: string }>(context.store, 'SELECT query FROM slices WHERE result = ? AND hash = ?', result, hash)?.query ?? null
