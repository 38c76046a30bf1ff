import { didYouMean } from '../tasks/nearest.ts'

/** What is wrong in a node's configuration. Never holds a value that came from the environment or a `dsn`. */
export interface ConfigProblem {
  /** Null: not a file's fault, but a variable's or an option's. */
  file: string | null
  /** `node.slots`, `db.warehouse.dsn`; null for the whole file. */
  key: string | null
  /** Names the bad value and the remedy. */
  message: string
}

/** A value that was read, or what is wrong with it: the sentence goes on behind the key's name. */
export type Checked<T> = { ok: true; value: T } | { ok: false; detail: string }
export type Check<T> = (value: unknown) => Checked<T>
type Env = Readonly<Record<string, string | undefined>>

const good = <T>(value: T): Checked<T> => ({ ok: true, value })
const bad = <T>(detail: string): Checked<T> => ({ ok: false, detail })

export const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  // Dates are objects of Temporal's classes; a table has none.
  (Object.getPrototypeOf(value) === null || Object.getPrototypeOf(value) === Object.prototype)

/**
 * Puts variables in the place of `${NAME}`; `$${` stands for `${` itself. An unset variable is a fault, an empty one is
 * not: who exports it empty means it.
 */
export const expand = (text: string, env: Env): Checked<string> => {
  const unset: string[] = []
  const expanded = text.replace(/\$?\$\{([^}]*)\}/g, (whole, name: string) => {
    if (whole.startsWith('$$')) return whole.slice(1)
    // process.env has a prototype: `toString` is no variable.
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (value === undefined) unset.push(name)
    return value ?? ''
  })
  const [first] = unset
  if (first === undefined) return good(expanded)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(first))
    return bad(`has a "\${…}" that names no variable; write \${NAME}, or $\${ for the characters themselves`)
  return bad(`needs the environment variable ${first}, which is not set; set it, or write the value in its place`)
}

const expandAll = (value: unknown, env: Env): Checked<unknown> => {
  if (typeof value === 'string') return expand(value, env)
  if (!Array.isArray(value)) return good(value)
  const items: unknown[] = []
  for (const item of value) {
    const expanded = expandAll(item, env)
    if (!expanded.ok) return expanded
    items.push(expanded.value)
  }
  return good(items)
}

/** The value as the file writes it, for a message; nothing of a value that may hold a secret. */
const shown = (value: unknown): string => {
  if (typeof value === 'string') return value.includes('${') ? 'its value' : JSON.stringify(value.slice(0, 100))
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : 'its value'
}

/** One table of the file: keys are taken one by one, and what nobody took is unknown. */
export class Table {
  readonly #values: Record<string, unknown>
  readonly #path: string
  readonly #context: { file: string | null; env: Env; problems: ConfigProblem[] }
  readonly #known = new Set<string>()

  constructor(values: Record<string, unknown>, path: string, context: { file: string | null; env: Env; problems: ConfigProblem[] }) {
    this.#values = values
    this.#path = path
    this.#context = context
  }

  key(name: string): string {
    const quoted = /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name)
    return this.#path === '' ? quoted : `${this.#path}.${quoted}`
  }

  problem(name: string | null, message: string): void {
    this.#context.problems.push({ file: this.#context.file, key: name === null ? this.#path : this.key(name), message })
  }

  names(): string[] {
    return Object.keys(this.#values)
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#values, name)
  }

  /** The value under a key; `fallback` where there is none or a wrong one, which is a problem then. */
  take<T, F>(name: string, check: Check<T>, fallback: F, { secret = false } = {}): T | F {
    this.#known.add(name)
    if (!this.has(name)) return fallback
    const raw = this.#values[name]
    const expanded = expandAll(raw, this.#context.env)
    const checked = expanded.ok ? check(expanded.value) : expanded
    if (checked.ok) return checked.value
    this.problem(name, expanded.ok ? `${secret ? 'its value' : shown(raw)} ${checked.detail}` : checked.detail)
    return fallback
  }

  /** A table inside this one; an empty one where there is none. */
  table(name: string): Table {
    this.#known.add(name)
    const value = this.has(name) ? this.#values[name] : {}
    if (!isTable(value))
      this.problem(name, `${shown(value)} is not a table; write [${this.key(name)}] on a line of its own and its keys below`)
    return new Table(isTable(value) ? value : {}, this.key(name), this.#context)
  }

  /** Reports every key that was not taken. `elsewhere` knows a better remedy for some of them. */
  finish(elsewhere: Readonly<Record<string, string>> = {}): void {
    for (const name of this.names().filter((candidate) => !this.#known.has(candidate))) {
      const remedy = Object.hasOwn(elsewhere, name) ? elsewhere[name] : undefined
      const hint = remedy === undefined ? didYouMean(name, this.#known) || `; known here: ${[...this.#known].join(', ')}` : `; ${remedy}`
      this.problem(name, `is not a key of the node's configuration${hint}`)
    }
  }
}

export const text =
  (what: string, pattern: RegExp): Check<string> =>
  (value) =>
    typeof value === 'string' && pattern.test(value) ? good(value) : bad(`is not ${what}`)

export const wholeNumber =
  (least: number, most: number): Check<number> =>
  (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
      ? good(value)
      : bad(`is not a whole number from ${least} to ${most}`)

export const oneOf =
  <T extends string>(choices: readonly T[]): Check<T> =>
  (value) => {
    const choice = choices.find((name) => name === value)
    if (choice !== undefined) return good(choice)
    return bad(`is not one of ${choices.join(', ')}${typeof value === 'string' ? didYouMean(value, choices) : ''}`)
  }

export const listOf =
  <T>(check: Check<T>): Check<T[]> =>
  (value) => {
    if (!Array.isArray(value)) return bad('is not a list; write it in brackets: ["a", "b"]')
    const items: T[] = []
    for (const [index, item] of value.entries()) {
      const checked = check(item)
      if (!checked.ok) return bad(`holds an item (number ${index + 1}) that ${checked.detail}`)
      items.push(checked.value)
    }
    return good(items)
  }

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Bytes as a number, or as text with a unit: "512MB" (10^6) or "2GiB" (2^30). */
export const byteSize: Check<number> = (value) => {
  const remedy = 'is not a size; write a number of bytes, or a text such as "512MB" or "2GiB"'
  const match = typeof value === 'string' ? /^(\d{1,12}(?:\.\d{1,3})?)\s*([KMGT]?i?B)$/i.exec(value) : null
  const bytes =
    typeof value === 'number'
      ? value
      : match === null
        ? Number.NaN
        : Number(match[1]) * (UNITS[(match[2] ?? '').toUpperCase()] ?? Number.NaN)
  return Number.isFinite(bytes) && bytes >= 1 && bytes <= Number.MAX_SAFE_INTEGER ? good(Math.floor(bytes)) : bad(remedy)
}
