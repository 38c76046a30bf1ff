/**
 * The smallest part of a failing list that still fails: delta debugging (A. Zeller, R. Hildebrandt, "Simplifying and isolating
 * failure-inducing input", 2002), then the elements one by one by simpler ones. `fails` is asked at most `most` times.
 */
export const shrink = <T>(
  list: readonly T[],
  fails: (candidate: readonly T[]) => boolean,
  simpler: (element: T) => readonly T[] = () => [],
  most = 3_000,
): readonly T[] => {
  let asked = 0
  const stillFails = (candidate: readonly T[]): boolean => asked++ < most && fails(candidate)
  let best = list
  let parts = 2
  while (best.length >= 2) {
    const size = Math.ceil(best.length / parts)
    let cut = false
    // What came last is cut first: it is the least likely to matter to what comes after.
    for (let from = size * (Math.ceil(best.length / size) - 1); from >= 0; from -= size) {
      const candidate = [...best.slice(0, from), ...best.slice(from + size)]
      if (candidate.length < best.length && stillFails(candidate)) {
        best = candidate
        cut = true
      }
    }
    if (cut) parts = Math.max(2, parts - 1)
    else if (size === 1) break
    else parts = Math.min(best.length, parts * 2)
  }
  if (best.length === 1 && stillFails([])) return []
  for (let at = 0; at < best.length; at++) {
    for (let again = true; again; ) {
      again = false
      const element = best[at]
      if (element === undefined) break
      for (const other of simpler(element)) {
        const candidate = best.with(at, other)
        if (!stillFails(candidate)) continue
        best = candidate
        again = true
        break
      }
    }
  }
  return best
}
