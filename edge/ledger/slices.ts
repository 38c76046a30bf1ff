import { first } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { MAX_SLICES_PER_RESULT } from './limits.ts'

/** Keeps the normal form of a slice, so that its immutable address can be answered; the oldest of too many go. */
export const rememberSlice = (context: LedgerContext, result: string, hash: string, query: string): void => {
  const { store } = context
  if (first(store, 'SELECT hash FROM slices WHERE result = ? AND hash = ?', result, hash)) return
  store.run('INSERT INTO slices (result, hash, query, at) VALUES (?, ?, ?, ?)', result, hash, query, context.now())
  store.run(
    'DELETE FROM slices WHERE result = ? AND hash NOT IN (SELECT hash FROM slices WHERE result = ? ORDER BY at DESC, hash LIMIT ?)',
    result,
    result,
    MAX_SLICES_PER_RESULT,
  )
}

export const sliceQuery = (context: LedgerContext, result: string, hash: string): string | null =>
  first<{ query: string }>(context.store, 'SELECT query FROM slices WHERE result = ? AND hash = ?', result, hash)?.query ?? null
