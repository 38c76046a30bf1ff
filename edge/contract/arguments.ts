import type { Arguments } from './jobs.ts'
import type { Argument, Param, ParamType } from './tasks.ts'

export type Bound = { ok: true; args: Argument[] } | { ok: false; detail: string }

const LIMITS: Partial<Record<ParamType, [bigint, bigint]>> = {
  int: [-(2n ** 31n), 2n ** 31n - 1n],
  bigint: [-(2n ** 63n), 2n ** 63n - 1n],
}

const isDate = (text: string): boolean => {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (!match) return false
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text)
}
const TIME = /^\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?$/
const ZONE = /(Z|[+-]\d{2}(:?\d{2})?)$/

/** What JSON has changed already, or what no text holds: it would be bound as something else than was meant. */
const unsound = (value: Argument): string | null => {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return 'has lost digits as a JSON number: send it as a string'
  return typeof value === 'string' && !value.isWellFormed() ? 'has half a surrogate pair, which is no text' : null
}

/** Whether a value can be bound to a parameter of the type; NULL always can. Answers what was expected, or null. */
export const expectedOf = (type: ParamType, value: Argument): string | null => {
  if (value === null) return null
  const text = String(value)
  switch (type) {
    case 'text':
      if (typeof value !== 'string') return 'a string'
      return value.isWellFormed() ? null : 'text of whole characters (no half surrogate pair)'
    case 'int':
    case 'bigint': {
      const [least, most] = LIMITS[type] ?? [0n, 0n]
      const whole = typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'string' && /^-?\d{1,19}$/.test(value)
      return whole && BigInt(text) >= least && BigInt(text) <= most
        ? null
        : `a whole number from ${least} to ${most}${type === 'bigint' ? ' (beyond 2^53 as a string)' : ''}`
    }
    case 'double':
      return typeof value !== 'boolean' && text.trim() !== '' && Number.isFinite(Number(text)) ? null : 'a number'
    case 'decimal':
      return typeof value !== 'boolean' && /^-?(\d{1,38}(\.\d{0,38})?|\.\d{1,38})$/.test(text) ? null : 'a decimal number without exponent'
    case 'boolean':
      return typeof value === 'boolean' || value === 'true' || value === 'false' ? null : 'true or false'
    case 'date':
      return typeof value === 'string' && isDate(value) ? null : 'a date as YYYY-MM-DD'
    case 'timestamp':
      return typeof value === 'string' && TIME.test(value) && isDate(value.slice(0, 10))
        ? null
        : 'a timestamp as YYYY-MM-DDTHH:MM:SS without zone'
    case 'timestamptz':
      return typeof value === 'string' && ZONE.test(value) && TIME.test(value.replace(ZONE, '')) && isDate(value.slice(0, 10))
        ? null
        : 'a timestamp with zone as YYYY-MM-DDTHH:MM:SSZ'
    case 'uuid':
      return typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value) ? null : 'a uuid'
  }
}

/** The one way to write a value, where JSON has several: "7" and 7 are the same argument, and their jobs identical. */
const plain = (type: ParamType, value: Argument): Argument => {
  if (value === null) return null
  const number = Number(value)
  switch (type) {
    case 'int':
    case 'bigint':
      return Number.isSafeInteger(number) && !Object.is(number, -0) ? number : value
    case 'double':
      // JSON has no -0.
      return Object.is(number, -0) ? value : number
    case 'boolean':
      return String(value) === 'true'
    case 'uuid':
      return String(value).toLowerCase()
    default:
      return value
  }
}

/**
 * Puts a request's arguments in the order of `$1…`, fills in defaults, checks types and writes each value in one way, before anything is queued.
 * Without `param` lines only the number of arguments can be judged; the engine judges the rest.
 */
export const bindArguments = (task: { name: string; params: Param[]; arity: number }, given: Arguments | undefined): Bound => {
  const { params } = task
  const list = Array.isArray(given) ? given : null
  const named: Record<string, Argument> | null = given !== undefined && !Array.isArray(given) ? given : null
  if (params.length === 0) {
    if (named && Object.keys(named).length > 0)
      return { ok: false, detail: `The task "${task.name}" has no named parameters: send args as a list of ${task.arity}.` }
    const args = list ?? []
    if (args.length !== task.arity)
      return {
        ok: false,
        detail: `The task "${task.name}" takes ${task.arity} ${task.arity === 1 ? 'argument' : 'arguments'}, ${args.length} came.`,
      }
    for (const [index, value] of args.entries()) {
      const fault = unsound(value)
      if (fault !== null)
        return { ok: false, detail: `The argument ${index + 1} of "${task.name}", ${JSON.stringify(value).slice(0, 100)}, ${fault}.` }
    }
    return { ok: true, args }
  }
  const names = params.map(({ name }) => name).join(', ')
  if (named) {
    const unknown = Object.keys(named).find((name) => !params.some((param) => param.name === name))
    if (unknown !== undefined) return { ok: false, detail: `The task "${task.name}" has no parameter "${unknown}"; it has ${names}.` }
  }
  if (list && list.length > params.length)
    return { ok: false, detail: `The task "${task.name}" takes ${params.length} arguments (${names}), ${list.length} came.` }
  const args: Argument[] = []
  for (const [index, param] of params.entries()) {
    // Own properties only: "constructor" is no argument that somebody sent.
    const value = list ? list[index] : named && Object.hasOwn(named, param.name) ? named[param.name] : undefined
    const argument = value === undefined ? param.default : value
    if (argument === undefined)
      return { ok: false, detail: `The task "${task.name}" needs a value for its parameter "${param.name}" (${param.type}).` }
    const wanted = expectedOf(param.type, argument)
    if (wanted !== null)
      return {
        ok: false,
        detail: `The parameter "${param.name}" of "${task.name}" takes ${wanted}, not ${JSON.stringify(argument).slice(0, 100)}.`,
      }
    args.push(plain(param.type, argument))
  }
  return { ok: true, args }
}
