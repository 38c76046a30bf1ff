/** One measured figure beside what it should be and what bounds it. */
export interface Figure {
  what: string
  measured: string
  aim: string
  /** A limit or a peer, measured in the same run. */
  beside: string
  /** Null where there is no aim. */
  good: boolean | null
}

/** The value below which the share `p` (0 to 1) of the values lies. */
export const quantile = (values: readonly number[], p: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN
}

export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
export const count = (value: number): string => Math.round(value).toLocaleString('en-US')

const VERDICTS = new Map([
  [true, 'yes'],
  [false, '**no**'],
])

/** The figures as a table of Markdown. */
export const markdown = (figures: readonly Figure[]): string =>
  [
    '| what | measured | aim | met | in the same run |',
    '| --- | --- | --- | --- | --- |',
    ...figures.map(
      ({ what, measured, aim, beside, good }) =>
        `| ${[what, measured, aim || '–', good === null ? '–' : (VERDICTS.get(good) ?? ''), beside || '–'].join(' | ')} |`,
    ),
  ].join('\n')

/** Times `body` `times` times, one after the other; milliseconds. */
export const timed = async (times: number, body: (turn: number) => Promise<unknown>): Promise<number[]> => {
  const taken: number[] = []
  for (let turn = 0; turn < times; turn += 1) {
    const from = performance.now()
    await body(turn)
    taken.push(performance.now() - from)
  }
  return taken
}
