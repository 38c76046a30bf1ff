/**
 * The life of one job's result in its family, as a total table (SPEC.md shows it as a page). The compiler finds a
 * forgotten cell, and a cell that cannot happen says so: reaching it is a fault in the code, never a guess.
 */
export const RESULT_STATES = [
  'absent',
  'waiting',
  'committing',
  'committing_withdrawn',
  'published',
  'leaving',
  'removing',
  'withdrawn',
  'rejected',
] as const
export type ResultState = (typeof RESULT_STATES)[number]

export const RESULT_EVENTS = ['publish', 'publish_bad', 'publish_other', 'withdraw', 'begin_append', 'begin_delete', 'settled'] as const
export type ResultEvent = (typeof RESULT_EVENTS)[number]

/**
 * What goes with a transition. `store`: keep manifest and bytes; `report`: tell the ledger the new state (again, where it
 * is the old one); `discard`: the files of this result are garbage; `none`: nothing.
 */
export type ResultAction = 'none' | 'store' | 'report' | 'report_discard'
export interface Next {
  to: ResultState
  action: ResultAction
}

const impossible = 'impossible'
const stay = (to: ResultState, action: ResultAction = 'none'): Next => ({ to, action })
const next = stay

export const TRANSITIONS: Readonly<Record<ResultState, Readonly<Record<ResultEvent, Next | typeof impossible>>>> = {
  absent: {
    publish: next('waiting', 'store'),
    publish_bad: next('rejected', 'report'),
    publish_other: impossible,
    withdraw: next('withdrawn', 'report'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: impossible,
  },
  waiting: {
    publish: stay('waiting'),
    publish_bad: stay('waiting'),
    publish_other: stay('waiting'),
    withdraw: next('withdrawn', 'report_discard'),
    begin_append: next('committing'),
    begin_delete: impossible,
    settled: impossible,
  },
  // In an intent: whether it is in the table only the pointer knows, so nothing may be taken back here.
  committing: {
    publish: stay('committing'),
    publish_bad: stay('committing'),
    publish_other: stay('committing'),
    withdraw: next('committing_withdrawn'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: next('published', 'report'),
  },
  committing_withdrawn: {
    publish: stay('committing_withdrawn'),
    publish_bad: stay('committing_withdrawn'),
    publish_other: stay('committing_withdrawn'),
    withdraw: stay('committing_withdrawn'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: next('leaving'),
  },
  published: {
    publish: stay('published', 'report'),
    publish_bad: stay('published', 'report'),
    publish_other: stay('published', 'report'),
    withdraw: next('leaving'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: impossible,
  },
  leaving: {
    publish: stay('leaving'),
    publish_bad: stay('leaving'),
    publish_other: stay('leaving'),
    withdraw: stay('leaving'),
    begin_append: impossible,
    begin_delete: next('removing'),
    settled: impossible,
  },
  removing: {
    publish: stay('removing'),
    publish_bad: stay('removing'),
    publish_other: stay('removing'),
    withdraw: stay('removing'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: next('withdrawn', 'report_discard'),
  },
  withdrawn: {
    publish: stay('withdrawn', 'report_discard'),
    publish_bad: stay('withdrawn', 'report_discard'),
    publish_other: stay('withdrawn', 'report_discard'),
    withdraw: stay('withdrawn', 'report'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: impossible,
  },
  rejected: {
    publish: stay('rejected', 'report'),
    publish_bad: stay('rejected', 'report'),
    publish_other: stay('rejected', 'report'),
    withdraw: next('withdrawn', 'report_discard'),
    begin_append: impossible,
    begin_delete: impossible,
    settled: impossible,
  },
}

/** Throws for a cell that cannot happen. */
export const transition = (from: ResultState, event: ResultEvent): Next => {
  const cell = TRANSITIONS[from][event]
  if (cell === impossible) throw new Error(`a result that is ${from} cannot meet ${event}`)
  return cell
}
