import type { JobState } from '../contract/jobs.ts'
import type { SqlValue } from '../storage/store.ts'
import { filterOver, mayHold } from './bloom.ts'
import type { JobRow } from './jobs.ts'
import { PAGE_BYTES, PAGE_JOBS } from './limits.ts'
import type { ResultRow } from './read.ts'
import { SHOWN } from './states.ts'

/** Rows of a job that has left the database, as they were. */
export interface StoredEvent {
  job: string
  seq: number
  type: string
  state: string
  at: number
  body: string
  n: number | null
}
export interface StoredSlice {
  result: string
  hash: string
  query: string
  at: number
}
export interface MovedJob {
  row: JobRow
  events: StoredEvent[]
  result: ResultRow | null
  slices: StoredSlice[]
}

/** A row of `pages`. */
export interface PageRow {
  last: string
  first: string
  jobs: number
  bytes: number
  key: string
  words: Uint8Array
}

/** A page as it is about to be written. */
export interface NewPage {
  first: string
  last: string
  jobs: number
  text: string
  words: Uint8Array
}

type Values = SqlValue[]
interface PageText {
  version: 1
  /** Names of the columns of the rows below, once for all. */
  columns: Record<'row' | 'events' | 'result' | 'slices', string[]>
  jobs: { row: Values; events: Values[]; result: Values | null; slices: Values[] }[]
}

/** Of all of them: a page that is written anew may hold rows that are older than a column. */
const columnsOf = (rows: readonly object[]): string[] => [...new Set(rows.flatMap((row) => Object.keys(row)))]
const valuesOf = (row: object, columns: string[]): Values => columns.map((column) => (row as Record<string, SqlValue>)[column] ?? null)
const rowOf = <R>(values: Values, columns: string[]): R =>
  // Written by `encode` from rows of that shape.
  Object.fromEntries(columns.map((column, index) => [column, values[index] ?? null])) as R

const encode = (jobs: readonly MovedJob[]): string => {
  const columns: PageText['columns'] = {
    row: columnsOf(jobs.map(({ row }) => row)),
    events: columnsOf(jobs.flatMap(({ events }) => events.slice(0, 1))),
    result: columnsOf(jobs.flatMap(({ result }) => (result ? [result] : []))),
    slices: columnsOf(jobs.flatMap(({ slices }) => slices.slice(0, 1))),
  }
  return JSON.stringify({
    version: 1,
    columns,
    jobs: jobs.map(({ row, events, result, slices }) => ({
      row: valuesOf(row, columns.row),
      events: events.map((event) => valuesOf(event, columns.events)),
      result: result && valuesOf(result, columns.result),
      slices: slices.map((slice) => valuesOf(slice, columns.slices)),
    })),
  } satisfies PageText)
}

/** The jobs of a page, in the order of their ids. */
export const decodePage = (text: string): MovedJob[] => {
  const page = JSON.parse(text) as PageText
  if (page.version !== 1) throw new Error(`a page of version ${String(page.version)}: deploy the newer code`)
  const { columns } = page
  return page.jobs.map(({ row, events, result, slices }) => ({
    row: rowOf<JobRow>(row, columns.row),
    events: events.map((event) => rowOf<StoredEvent>(event, columns.events)),
    result: result && rowOf<ResultRow>(result, columns.result),
    slices: slices.map((slice) => rowOf<StoredSlice>(slice, columns.slices)),
  }))
}

/** What a list asks for, as words of the filter over a page. */
export const wordsOf = ({ task, state, alias }: { task: string | null; state: JobState | null; alias: string | null }): string[] => [
  ...(task === null ? [] : [`task ${task}`]),
  ...(state === null ? [] : [`state ${state}`]),
  ...(alias === null ? [] : [`alias ${alias}`]),
]

export const mayMatch = (page: PageRow, words: string[]): boolean => words.every((word) => mayHold(page.words, word))

/** Jobs of a page that is written anew, and those that come to it: of two with one id the one that comes counts. */
export const merge = (old: readonly MovedJob[], come: readonly MovedJob[]): MovedJob[] => {
  const jobs = new Map([...old, ...come].map((job) => [job.row.id, job]))
  return [...jobs.values()].sort((one, other) => (one.row.id < other.row.id ? -1 : 1))
}

/** Cuts jobs, in the order of their ids, into pages of bounded size. */
export const paginate = (jobs: readonly MovedJob[]): NewPage[] => {
  const pages: NewPage[] = []
  let part: MovedJob[] = []
  let bytes = 0
  const close = (): void => {
    const [first, last] = [part[0]?.row, part.at(-1)?.row]
    if (!first || !last) return
    const words = new Set(
      part.flatMap(({ row }) => (row.deleted_at === null ? wordsOf({ task: row.task, state: SHOWN[row.state], alias: row.alias }) : [])),
    )
    pages.push({ first: first.id, last: last.id, jobs: part.length, text: encode(part), words: filterOver(words) })
    part = []
    bytes = 0
  }
  for (const job of jobs) {
    const size = JSON.stringify(job).length
    if (part.length >= PAGE_JOBS || (part.length > 0 && bytes + size > PAGE_BYTES)) close()
    part.push(job)
    bytes += size
  }
  close()
  return pages
}
