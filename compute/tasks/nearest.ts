/** Letters that differ at most this share of a word's length make it a plausible slip of the pen. */
const MAX_SLIP_SHARE = 1 / 3
/** Words longer than this are prose, not misspelt keys. */
const MAX_WORD_LENGTH = 64

const plain = (word: string): string =>
  word
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_')

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string alignment. */
const distance = (a: string, b: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1)
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/**
 * The known word that `word` was probably meant to be, or null.
 * @example nearest('retension', ['retention', 'raw']) // 'retention'
 */
export const nearest = (word: string, known: Iterable<string>): string | null => {
  const wanted = plain(word)
  if (wanted === '' || wanted.length > MAX_WORD_LENGTH) return null
  let best: string | null = null
  let fewest = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const edits = distance(wanted, plain(candidate))
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) * MAX_SLIP_SHARE))
    // A word of two letters is one edit away from too many others.
    if (edits < fewest && edits <= allowed && edits < Math.min(wanted.length, candidate.length)) {
      best = candidate
      fewest = edits
    }
  }
  return best
}

/** `; did you mean "x"?`, or nothing: the tail of a message about an unknown word. */
export const didYouMean = (word: string, known: Iterable<string>): string => {
  const candidate = nearest(word, known)
  return candidate === null ? '' : `; did you mean "${candidate}"?`
}
