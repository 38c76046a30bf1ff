import type { JobState, PublicationState } from '../contract/jobs.ts'

/**
 * The job's life as a total table: the compiler finds a forgotten cell. SPEC.md tells it in words.
 *
 * Three inner states are shown to the outside as `waiting`: `offered` (a node has 5 s to take it), `blocked` (waits for
 * its parents) and `joined` (waits for the job it coalesced with). `carrying` is shown as `cancelled`: whoever submitted
 * the job has left it, and a node still runs it for the jobs that joined it.
 */
export const INNER_STATES = [
  'waiting',
  'offered',
  'blocked',
  'joined',
  'scheduled',
  'leased',
  'running',
  'carrying',
  'succeeded',
  'failed',
  'cancelled',
] as const
export type InnerState = (typeof INNER_STATES)[number]

export const JOB_INPUTS = [
  /** The pool chose a node: an offer goes out. */
  'offer',
  /** The offer was not taken in time, was handed back, or its session ended. */
  'lapse',
  /** The node takes the lease. */
  'accept',
  /** The attempt begins: from here on it burns a try. */
  'start',
  /** A drain hands the lease back; burns no try. */
  'hand_back',
  /** Node, session or source connection lost, tries left. */
  'lose',
  /** The same, and no try is left. */
  'lose_last',
  'complete',
  /** An error that is not tried again. */
  'fail',
  /** Somebody asks to cancel. */
  'cancel',
  /** The node says what became of the query, or the time for its answer is over. */
  'stop',
  /** A back-off is over. */
  'due',
  /** Its parents are done; the job it joined has gone, and this one runs in its place; or that waits, and this one in a better place. */
  'release',
  /** It may begin, and an identical job waits or runs; or such a job, in another place, was offered first. */
  'join',
  /** A result that another job wrote becomes this one's too. */
  'share',
  /** Its submitter cancels, while others have joined it and a node holds it. */
  'leave',
  /** It has waited longer than it may. */
  'expire',
  /** Its parents have ended so that its condition does not hold. */
  'skip',
] as const
export type JobInput = (typeof JOB_INPUTS)[number]

/**
 * `ignored`: true already, answer as if it had just happened. `fenced`: the sender does not hold the job any more.
 * `refused`: the request makes no sense now, and the caller is told.
 */
export type Verdict = 'ignored' | 'fenced' | 'refused'
export type Next = { to: InnerState } | Verdict

const to = (state: InnerState): Next => ({ to: state })

/** Not held by a node: whoever claims to hold it is late. */
const unheld = { lapse: 'fenced', accept: 'fenced', start: 'fenced', hand_back: 'fenced', complete: 'fenced', stop: 'fenced' } as const
const steady = {
  due: 'ignored',
  release: 'ignored',
  join: 'ignored',
  share: 'ignored',
  leave: 'ignored',
  expire: 'ignored',
  skip: 'ignored',
} as const
/** Terminal states never change (I1). */
const ended = {
  ...steady,
  offer: 'refused',
  lapse: 'fenced',
  accept: 'fenced',
  start: 'fenced',
  hand_back: 'fenced',
  lose: 'ignored',
  lose_last: 'ignored',
  complete: 'fenced',
  fail: 'fenced',
  cancel: 'refused',
  stop: 'ignored',
  leave: 'refused',
} as const satisfies Record<JobInput, Next>

export const JOB_TABLE: Record<InnerState, Record<JobInput, Next>> = {
  waiting: {
    ...unheld,
    ...steady,
    offer: to('offered'),
    join: to('joined'),
    lose: 'ignored',
    lose_last: 'ignored',
    // A job can fail before anybody holds it: its result could never be kept (schema drift, judged when it is offered).
    fail: to('failed'),
    cancel: to('cancelled'),
    expire: to('failed'),
  },
  offered: {
    ...steady,
    offer: 'refused',
    lapse: to('waiting'),
    accept: to('leased'),
    start: 'fenced',
    hand_back: to('waiting'),
    lose: to('waiting'),
    lose_last: to('waiting'),
    complete: 'fenced',
    fail: to('failed'),
    cancel: to('cancelled'),
    stop: 'fenced',
    expire: to('failed'),
  },
  blocked: {
    ...unheld,
    ...steady,
    offer: 'refused',
    lose: 'ignored',
    lose_last: 'ignored',
    // An argument that its parent's first row was to bring is not there.
    fail: to('failed'),
    cancel: to('cancelled'),
    release: to('waiting'),
    join: to('joined'),
    share: to('succeeded'),
    expire: to('failed'),
    skip: to('cancelled'),
  },
  joined: {
    ...unheld,
    ...steady,
    offer: 'refused',
    lose: 'ignored',
    lose_last: 'ignored',
    fail: to('failed'),
    cancel: to('cancelled'),
    release: to('waiting'),
    share: to('succeeded'),
    expire: to('failed'),
  },
  scheduled: {
    ...unheld,
    ...steady,
    offer: 'refused',
    lose: 'ignored',
    lose_last: 'ignored',
    fail: 'fenced',
    cancel: to('cancelled'),
    due: to('waiting'),
    join: to('joined'),
    share: to('succeeded'),
    expire: to('failed'),
  },
  leased: {
    ...steady,
    offer: 'refused',
    lapse: 'ignored',
    accept: 'ignored',
    start: to('running'),
    hand_back: to('waiting'),
    lose: to('waiting'),
    lose_last: to('waiting'),
    // The `start` was lost or overtaken: who completes has surely begun.
    complete: to('succeeded'),
    fail: to('failed'),
    // The query may be in the engine already: the node is asked, and `stop` ends the job.
    cancel: 'ignored',
    stop: to('cancelled'),
    leave: to('carrying'),
    // It waits on the node now, for a slot of it; the node asks before it begins, and hears that it is too late.
    expire: to('failed'),
  },
  running: {
    ...steady,
    offer: 'refused',
    lapse: 'ignored',
    accept: 'ignored',
    start: 'ignored',
    hand_back: to('waiting'),
    lose: to('scheduled'),
    lose_last: to('failed'),
    complete: to('succeeded'),
    fail: to('failed'),
    cancel: 'ignored',
    stop: to('cancelled'),
    leave: to('carrying'),
  },
  // However the attempt ends, this job is cancelled; what becomes of those that joined it is decided beside.
  carrying: {
    ...steady,
    offer: 'refused',
    lapse: 'ignored',
    accept: 'ignored',
    start: 'ignored',
    hand_back: to('cancelled'),
    lose: to('cancelled'),
    lose_last: to('cancelled'),
    complete: to('cancelled'),
    fail: to('cancelled'),
    cancel: 'refused',
    stop: to('cancelled'),
    leave: 'refused',
  },
  succeeded: ended,
  failed: ended,
  cancelled: ended,
}

/** How the API names an inner state. */
export const SHOWN: Record<InnerState, JobState> = {
  waiting: 'waiting',
  offered: 'waiting',
  blocked: 'waiting',
  joined: 'waiting',
  scheduled: 'scheduled',
  leased: 'leased',
  running: 'running',
  carrying: 'cancelled',
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'cancelled',
}

export const isEnded = (state: InnerState): boolean => state === 'succeeded' || state === 'failed' || state === 'cancelled'
/** A node has it, or is being asked to take it. */
export const isHeld = (state: InnerState): boolean =>
  state === 'offered' || state === 'leased' || state === 'running' || state === 'carrying'

/** The second, smaller life: is the result in its family's table? */
export const PUBLICATION_INPUTS = ['complete', 'published', 'rejected', 'withdrawn', 'expired'] as const
export type PublicationInput = (typeof PUBLICATION_INPUTS)[number]
export const PUBLICATION_TABLE: Record<PublicationState, Record<PublicationInput, PublicationState | 'ignored'>> = {
  none: { complete: 'pending', published: 'ignored', rejected: 'ignored', withdrawn: 'ignored', expired: 'ignored' },
  pending: { complete: 'ignored', published: 'published', rejected: 'rejected', withdrawn: 'withdrawn', expired: 'expired' },
  published: { complete: 'ignored', published: 'ignored', rejected: 'ignored', withdrawn: 'withdrawn', expired: 'expired' },
  rejected: { complete: 'ignored', published: 'ignored', rejected: 'ignored', withdrawn: 'withdrawn', expired: 'ignored' },
  withdrawn: { complete: 'ignored', published: 'ignored', rejected: 'ignored', withdrawn: 'ignored', expired: 'ignored' },
  expired: { complete: 'ignored', published: 'ignored', rejected: 'ignored', withdrawn: 'ignored', expired: 'ignored' },
}
