import { tsv } from '../../client/csv.ts'
import { count } from '../format.ts'
import type { Rectangle } from './model.ts'
import type { Pages } from './pages.ts'

/** More cells than this are an export, not a copy. */
const MAX_COPIED_CELLS = 200_000
const MAX_COPIED_ROWS = 20_000

/** Puts the chosen cells on the clipboard as TSV; answers the sentence that says what came of it. */
export const copyCells = async ({ top, bottom, left, right }: Rectangle, pages: Pages | null): Promise<string> => {
  const height = bottom - top + 1
  const width = right - left + 1
  if (height * width > MAX_COPIED_CELLS || height > MAX_COPIED_ROWS)
    return `${count(height)} rows are too many to copy. Export them as CSV.`
  try {
    const rows = (await pages?.rows(top, bottom + 1)) ?? []
    await navigator.clipboard.writeText(tsv(rows.map((row) => row.slice(left, right + 1))))
    return height * width === 1 ? 'Copied the cell.' : `Copied ${count(height)} × ${count(width)} cells.`
  } catch {
    return 'The browser did not let the page copy.'
  }
}
