import type { Family, QueueName } from '../../edge/contract/ids.ts'
import { QueueName as QueueNameSchema } from '../../edge/contract/ids.ts'
import type { AnnouncedTask, Param } from '../../edge/contract/tasks.ts'
import { AnnouncedTask as AnnouncedTaskSchema, ENGINES } from '../../edge/contract/tasks.ts'
import type { EngineName } from '../engines/engine.ts'
import { readFamily } from './family.ts'
import type { Block, Tag } from './lines.ts'
import { DUNGBEETLE_TAGS } from './lines.ts'
import { nearest } from './nearest.ts'
import type { TaskProblem } from './problem.ts'
import { quote } from './problem.ts'
import { readSchedule, type TaskSchedule } from './schedule.ts'
import type { Read } from './values.ts'
import { readBytes, readChoice, readDuration, readList, readParam, readTypes } from './values.ts'

const FORMATS = ['parquet', 'arrow', 'csv', 'json'] as const satisfies readonly AnnouncedTask['emit_format'][number][]
/** The contract's limit for `description`. */
const MAX_DESCRIPTION_CHARACTERS = 2_000
/** Iceberg sets no limit; a partition for each of many columns makes nothing but tiny files. */
const MAX_PARTITION_COLUMNS = 8

/** What the tags of one task say. Null or empty where they say nothing. */
export interface Directives {
  db: string[]
  queue: QueueName | null
  concurrency: number | null
  /** DungBeetle's result databases. Results go to Iceberg; the names are kept for writing to both. */
  results: string[]
  raw: boolean
  engine_hint: EngineName | null
  cost_budget_bytes: number | null
  max_runtime_seconds: number | null
  retention_seconds: number | null
  family: Family | null
  partition_by: string[] | null
  emit_format: AnnouncedTask['emit_format']
  description: string
  params: Param[]
  types: Record<string, string>
  /** Slots that a job takes. This and the following are announced only where a line says something. */
  weight?: number
  coalesce?: boolean
  schedule?: TaskSchedule
  retries?: number
}

const good = <T>(value: T): Read<T> => ({ ok: true, value })
const bad = <T>(detail: string): Read<T> => ({ ok: false, detail })

const readQueue = (text: string): Read<QueueName> => {
  const queue = QueueNameSchema.safeParse(text)
  if (queue.success) return good(queue.data)
  return bad(`${quote(text)} cannot name a queue; use 1 to 100 characters of A-Z, a-z, 0-9 and "._:-", beginning with a letter or digit`)
}

/** DungBeetle reads 0 as "as many as there are processors"; here a node's slots are that limit anyway. */
const readConcurrency = (text: string): Read<number | null> => {
  if (!/^\+?\d{1,9}$/.test(text)) return bad(`${quote(text)} is not a number of jobs; write a whole number such as 5, or 0 for no limit`)
  return good(Number(text) === 0 ? null : Number(text))
}

/** A whole number from `least` to `most`. */
const readCount =
  (least: number, most: number, what: string) =>
  (text: string): Read<number> =>
    /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most
      ? good(Number(text))
      : bad(`${quote(text)} is not a number of ${what}; write a whole number from ${least} to ${most}`)

const readWeight = readCount(1, AnnouncedTaskSchema.shape.weight.unwrap().maxValue ?? 1, 'slots')
const readRetries = readCount(0, AnnouncedTaskSchema.shape.retries.unwrap().unwrap().maxValue ?? 0, 'retries')

const readSwitch = (text: string): Read<boolean> => {
  const word = readChoice(text, ['on', 'off'] as const)
  return word.ok ? good(word.value === 'on') : word
}

const readPartition = (text: string): Read<string[]> => {
  const columns = readList(text)
  if (columns.ok && columns.value.length > MAX_PARTITION_COLUMNS) {
    return bad(`${columns.value.length} columns are too many to partition by; name at most ${MAX_PARTITION_COLUMNS}`)
  }
  return columns
}

const readFormats = (text: string): Read<AnnouncedTask['emit_format']> => {
  const names = readList(text)
  if (!names.ok) return names
  const formats: AnnouncedTask['emit_format'] = []
  for (const name of names.value) {
    const format = readChoice(name, FORMATS)
    if (!format.ok) return format
    if (!formats.includes(format.value)) formats.push(format.value)
  }
  return good(formats)
}

const readDescription = (text: string): Read<string> =>
  text.length <= MAX_DESCRIPTION_CHARACTERS
    ? good(text)
    : bad(`${text.length} characters are too many; use at most ${MAX_DESCRIPTION_CHARACTERS} (the rest can stand in a comment)`)

/** Every directive, and what it does to the task. `name` is read by the splitter. */
const DIRECTIVES: Record<string, (value: string, into: Directives) => string | null> = {
  db: (value, into) => keep(readList(value), (db) => (into.db = db)),
  queue: (value, into) => keep(readQueue(value), (queue) => (into.queue = queue)),
  conc: (value, into) => keep(readConcurrency(value), (limit) => (into.concurrency = limit)),
  results: (value, into) => keep(readList(value), (results) => (into.results = results)),
  // Presence alone counts, as in DungBeetle: `raw: 0` is raw too.
  raw: (_value, into) => keep(good(true), (raw) => (into.raw = raw)),
  engine_hint: (value, into) => keep(readChoice(value, ENGINES), (engine) => (into.engine_hint = engine)),
  cost_budget_bytes: (value, into) => keep(readBytes(value), (bytes) => (into.cost_budget_bytes = bytes)),
  max_runtime: (value, into) => keep(readDuration(value), (seconds) => (into.max_runtime_seconds = seconds)),
  retention: (value, into) => keep(readDuration(value), (seconds) => (into.retention_seconds = seconds)),
  result_table: (value, into) => keep(readFamily(value), (family) => (into.family = family)),
  partition_by: (value, into) => keep(readPartition(value), (columns) => (into.partition_by = columns)),
  emit_format: (value, into) => keep(readFormats(value), (formats) => (into.emit_format = formats)),
  description: (value, into) => keep(readDescription(value), (description) => (into.description = description)),
  param: (value, into) =>
    keep(readParam(value), (param) => {
      into.params.push(param)
    }),
  types: (value, into) => keep(readTypes(value), (types) => (into.types = types)),
  weight: (value, into) => keep(readWeight(value), (weight) => (into.weight = weight)),
  coalesce: (value, into) => keep(readSwitch(value), (coalesce) => (into.coalesce = coalesce)),
  schedule: (value, into) => keep(readSchedule(value), (schedule) => (into.schedule = schedule)),
  retries: (value, into) => keep(readRetries(value), (retries) => (into.retries = retries)),
}

/** Applies a value, or gives back what is wrong with it. */
const keep = <T>(read: Read<T>, apply: (value: T) => unknown): string | null => {
  if (!read.ok) return read.detail
  apply(read.value)
  return null
}

/** Directives that may stand on several lines. */
const REPEATABLE: ReadonlySet<string> = new Set(['param'])

export const KNOWN_TAGS: ReadonlySet<string> = new Set(['name', ...Object.keys(DIRECTIVES)])

/**
 * What to say about a tag that is none of ours, or null for what is plainly prose: `-- see http://…` is a tag by
 * goyesql's rule, and a remark to everybody else.
 */
export const unknownTag = (tag: Tag): string | null => {
  const [first = ''] = tag.name.split(':')
  const asDungbeetle = DUNGBEETLE_TAGS.find((name) => name === first.trim())
  if (asDungbeetle !== undefined) {
    return first === asDungbeetle
      ? `a value of "${asDungbeetle}" cannot hold a colon with text behind it (DungBeetle reads a tag ${quote(tag.name)} here); the line has no effect`
      : `the tag is written ${quote(tag.name)}, with a blank before its colon, and has no effect; did you mean "-- ${asDungbeetle}: …"?`
  }
  const candidate = nearest(tag.name, KNOWN_TAGS)
  if (candidate !== null) return `unknown tag ${quote(tag.name)} is kept without effect; did you mean "${candidate}"?`
  if (/^[A-Za-z_][\w-]*$/.test(tag.name)) return `unknown tag ${quote(tag.name)} is kept without effect`
  return null
}

/** Reads the tags of one task. Any problem of severity `error` means the task must not be loaded. */
export const readDirectives = (file: string, block: Block): { directives: Directives; problems: TaskProblem[] } => {
  const directives: Directives = {
    db: [],
    queue: null,
    concurrency: null,
    results: [],
    raw: false,
    engine_hint: null,
    cost_budget_bytes: null,
    max_runtime_seconds: null,
    retention_seconds: null,
    family: null,
    partition_by: null,
    emit_format: ['parquet'],
    description: '',
    params: [],
    types: {},
  }
  const problems: TaskProblem[] = []
  const say = (severity: TaskProblem['severity'], code: TaskProblem['code'], line: number, message: string) =>
    problems.push({ severity, code, file, line, task: block.name, message })
  const firstLine = new Map<string, number>()

  for (const tag of block.tags) {
    const apply = DIRECTIVES[tag.name]
    if (apply === undefined || !KNOWN_TAGS.has(tag.name)) {
      // The samples that DungBeetle ships write `concurrency`, which it does not read; they mean `conc`.
      if (tag.name === 'concurrency') {
        const limit = readConcurrency(tag.value)
        if (limit.ok && !firstLine.has('conc')) directives.concurrency = limit.value
        const effect = limit.ok ? 'it is taken for "conc" here, while DungBeetle ignores it' : 'it is kept without effect'
        say('warning', 'unknown_tag', tag.line, `"concurrency" is not a tag; ${effect}; write "conc"`)
        continue
      }
      const message = unknownTag(tag)
      if (message !== null) say('warning', 'unknown_tag', tag.line, message)
      continue
    }
    const earlier = firstLine.get(tag.name)
    if (earlier !== undefined && !REPEATABLE.has(tag.name)) {
      say('error', 'duplicate_tag', tag.line, `"${tag.name}" stands on line ${earlier} already; keep one of them`)
      continue
    }
    firstLine.set(tag.name, tag.line)
    const detail = apply(tag.value, directives)
    if (detail !== null) say('error', 'bad_value', tag.line, `${tag.name}: ${detail}`)
    if (tag.name === 'raw' && /^(0|no|off|false)$/i.test(tag.value)) {
      say(
        'warning',
        'bad_value',
        tag.line,
        `raw: ${quote(tag.value)} still means raw, as in DungBeetle; remove the line to have the query described`,
      )
    }
    const newest = directives.params.at(-1)
    const sameName = (param: Param) => param.name.toLowerCase() === newest?.name.toLowerCase()
    if (tag.name === 'param' && detail === null && directives.params.findIndex(sameName) < directives.params.length - 1) {
      say('error', 'bad_value', tag.line, `param: ${quote(newest?.name ?? '')} names a parameter already; give each its own name`)
    }
  }
  return { directives, problems }
}
