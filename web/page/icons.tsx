import type { JSX } from 'preact'

/** One small set, 16 × 16, drawn with the text's colour. Each stands beside a word or has a label, so all are hidden from readers. */
const PATHS = {
  reports: 'M3 2.500h7l3 3v8H3zM9.500 2.500v3.500H13M5.500 8.500h5M5.500 11h5',
  jobs: 'M2.500 4h7M2.500 8h11M2.500 12h5M12 2.500v3M13.500 4h-3',
  tables: 'M2.500 3h11v10h-11zM2.500 6.500h11M6.500 6.500V13M2.500 9.800h11',
  nodes: 'M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z',
  run: 'M5 3.500v9l7-4.500z',
  close: 'M4 4l8 8M12 4l-8 8',
  search: 'M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9M10.300 10.300l3.200 3.200',
  download: 'M8 2.500v7.500M4.800 7.200 8 10.300l3.200-3.100M3 13h10',
  columns: 'M2.500 3h11v10h-11zM10 3v10',
  sql: 'M5.500 4.500 2 8l3.500 3.500M10.500 4.500 14 8l-3.500 3.500',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  plus: 'M8 3v10M3 8h10',
  stop: 'M4 4h8v8H4z',
  keys: 'M1.500 4h13v8h-13zM4 6.500h.01M6.700 6.500h.01M9.300 6.500h.01M12 6.500h.01M5 9.500h6',
  group: 'M3 3h10M5 6.500h8M5 10h8M3 13h10',
  person: 'M8 2.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5M3.500 13.500c0-2.700 1.800-4.200 4.500-4.200s4.500 1.500 4.500 4.200z',
  undo: 'M5.500 3 2.500 6l3 3M2.500 6h7a3.500 3.500 0 0 1 0 7H6',
  bell: 'M8 2.500c-2.500 0-3.800 1.800-3.800 4v2.700L3 11.500h10l-1.200-2.300V6.500c0-2.200-1.300-4-3.800-4M6.700 13.500h2.600',
  again: 'M12.700 6A5 5 0 1 0 13 9M13 2.800V6H9.800',
  pause: 'M5 3.500v9M11 3.500v9',
  out: 'M6 2.500H3v11h3M7 8h7M11 5l3 3-3 3',
} as const

export type IconName = keyof typeof PATHS

export const Icon = ({ name }: { name: IconName }): JSX.Element => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
)

export type MarkState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'approval' | 'skipped'

/** A state by shape and colour: an open ring, a half ring, a full disc, a lozenge, a bar; a square for a person's word, a dotted ring. */
export const StateMark = ({ state }: { state: MarkState }): JSX.Element => (
  <svg class={`mark mark-${state}`} viewBox="0 0 12 12" aria-hidden="true" focusable="false">
    {state === 'waiting' && <circle cx="6" cy="6" r="4.2" fill="none" stroke-width="1.6" />}
    {state === 'running' && (
      <>
        <circle cx="6" cy="6" r="4.2" fill="none" stroke-width="1.6" opacity=".3" />
        <path d="M6 1.800a4.200 4.200 0 0 1 4.200 4.200" fill="none" stroke-width="1.800" stroke-linecap="round" />
      </>
    )}
    {state === 'done' && (
      <>
        <circle cx="6" cy="6" r="5" class="fill" />
        <path d="M3.700 6.200 5.300 7.800 8.400 4.500" fill="none" class="tick" stroke-width="1.500" />
      </>
    )}
    {state === 'failed' && <path d="M6 .8 11.200 6 6 11.200.8 6z" class="fill" />}
    {state === 'approval' && (
      <>
        <rect x="1.300" y="1.300" width="9.400" height="9.400" rx="2" fill="none" stroke-width="1.600" />
        <path d="M6 3.500v3M6 8.400v.1" fill="none" stroke-width="1.600" stroke-linecap="round" />
      </>
    )}
    {state === 'skipped' && <circle cx="6" cy="6" r="4.2" fill="none" stroke-width="1.400" stroke-dasharray="1.600 1.700" />}
    {state === 'cancelled' && <rect x="1.500" y="4.800" width="9" height="2.400" rx="1" class="fill" />}
  </svg>
)

export const markOf = (state: string): MarkState => {
  if (state === 'succeeded') return 'done'
  if (state === 'failed' || state === 'cancelled' || state === 'approval' || state === 'skipped') return state
  return state === 'running' || state === 'compensating' ? 'running' : 'waiting'
}

const WORDS: Record<string, string> = {
  waiting: 'Waiting',
  scheduled: 'Waiting to try again',
  leased: 'Taken by a node',
  running: 'Running',
  succeeded: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
  approval: 'To be decided',
  skipped: 'Skipped',
  compensating: 'Undoing what was done',
}
export const stateWord = (state: string): string => WORDS[state] ?? state
/** A job's state: one that nobody has tried yet waits for its time, not for another try. */
export const jobWord = (job: { state: string; tries: number }): string =>
  job.state === 'scheduled' && job.tries === 0 ? 'Waits for its time' : stateWord(job.state)
