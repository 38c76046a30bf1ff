import type { Job, Param, TaskInfo } from '../client/wire.ts'

/** A field of a report's form. A statement without `param` lines has fields `$1`, `$2`, … of text. */
export interface Field {
  name: string
  type: Param['type']
  /** The default as text; null: a value must be given. */
  fallback: string | null
  nullable: boolean
}

const textOf = (value: unknown): string => (value === null || value === undefined ? '' : String(value))

export const fieldsOf = (task: TaskInfo): Field[] => {
  if (task.params.length > 0)
    return task.params.map((param) => ({
      name: param.name,
      type: param.type,
      fallback: param.default === undefined ? null : textOf(param.default),
      nullable: param.default === null,
    }))
  return Array.from({ length: task.arity }, (_, at) => ({ name: `$${at + 1}`, type: 'text', fallback: null, nullable: false }))
}

/** The texts a form begins with: what the address gives, else the defaults. */
export const beginning = (fields: Field[], given: URLSearchParams): string[] =>
  fields.map((field) => given.get(field.name) ?? field.fallback ?? (field.type === 'boolean' ? 'false' : ''))

/** What stands in a field's way, in words; null: nothing. */
export const problemOf = (field: Field, text: string): string | null => {
  if (text === '') {
    if (field.nullable || (field.type === 'text' && field.fallback !== null)) return null
    return field.type === 'text' ? null : 'A value is needed.'
  }
  switch (field.type) {
    case 'int':
    case 'bigint':
      return /^[+-]?\d+$/.test(text) ? null : 'A whole number is needed, such as 42.'
    case 'double':
    case 'decimal':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? null : 'A number is needed, such as 3.14.'
    case 'uuid':
      return /^[0-9a-f-]{32,36}$/i.test(text) ? null : 'A UUID is needed.'
    default:
      return null
  }
}

/** Arguments in the order of `$1 …`. Numbers go as text, which keeps all their digits. */
export const argumentsOf = (fields: Field[], texts: string[]): (string | number | boolean | null)[] =>
  fields.map((field, at) => {
    const text = texts[at] ?? ''
    if (text === '' && field.nullable) return null
    if (field.type === 'boolean') return text === 'true'
    if (field.type === 'int') return Number(text)
    if (field.type === 'double') return Number(text)
    if (field.type === 'timestamp' && /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text)) return `${text}:00`
    return text
  })

/** A job's arguments with their names, for its top line and for running it again with others. */
export const namedArguments = (job: Job, task: TaskInfo | null): { name: string; value: string }[] =>
  job.args.map((value, at) => ({
    name: task?.params[at]?.name ?? `$${at + 1}`,
    value: value === null ? 'null' : String(value),
  }))
