import { expect, setDefaultTimeout, test } from 'bun:test'
import { Family } from '../../edge/contract/ids.ts'
import { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { announcement } from './catalogue.ts'
import { KNOWN_TAGS } from './directives.ts'
import { parseTasks } from './parse.ts'
import { readStatement } from './placeholders.ts'

setDefaultTimeout(PATIENCE_MS)

const FILES = 4_000
const SEED = Number(process.env.SCARAB_FUZZ_SEED ?? 20_261_121)

/** mulberry32: small, seeded, good enough to wander about in a grammar. */
const randomOf = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const TAGS = [...KNOWN_TAGS, 'concurrency', '__proto__', 'constructor', 'Name', 'name ', 'retension', 'see http', 'é', '']
const VALUES = [
  'a',
  'b',
  'duckdb',
  'p, m',
  '1',
  '0',
  '-1',
  '50_000',
  '10m',
  '30d',
  'reports.a',
  'x date',
  'x int = 5',
  "x text = '",
  'a=int',
  'a="',
  'parquet,arrow',
]
const WORDS = [
  'SELECT',
  'FROM t',
  '1',
  '$1',
  '$2',
  '$0',
  '?',
  "'",
  '"',
  '`',
  '$$',
  '$a$',
  '/*',
  '*/',
  '--',
  ';',
  '\\',
  "E'",
  '#',
  '(',
  ')',
  'é',
  '😀',
  '\u2028',
  '\0',
  '\t',
]

const fileOf = (random: () => number): string => {
  const pick = (from: readonly string[]) => from[Math.floor(random() * from.length)] ?? ''
  const line = (): string => {
    const kind = random()
    if (kind < 0.3) return `-- name: ${pick(['a', 'b', 'c d', 'ü', '_', '/', 'x'.repeat(250)])}`
    if (kind < 0.6)
      return `${pick(['', ' ', '\t'])}--${pick(['', ' ', '\t'])}${pick(TAGS)}${pick([':', ': ', ' : ', '::'])}${pick(VALUES)}${pick(['', ' ', ': z'])}`
    return Array.from({ length: Math.floor(random() * 6) }, () => pick(WORDS)).join(pick([' ', '']))
  }
  return Array.from({ length: Math.floor(random() * 12) }, line).join(pick(['\n', '\n', '\r\n']))
}

const source = (name: string, type: Source['type']): Source => ({ name, type, dsn: null, maxActive: 1 })
const SOURCES: Source[][] = [[], [source('p', 'postgres')], [source('m', 'mysql')], [source('p', 'postgres'), source('m', 'mysql')]]

test(`any text gives tasks that the contract takes, or problems with a line of the file (seed ${SEED})`, () => {
  const random = randomOf(SEED)
  let tasks = 0
  let errors = 0
  for (let n = 0; n < FILES; n++) {
    const content = fileOf(random)
    const sources = SOURCES[n % SOURCES.length] ?? []
    const lines = content.split('\n').length
    const parsed = parseTasks('/x.sql', content, sources)
    const context = JSON.stringify(content)
    for (const task of parsed.tasks) {
      tasks += 1
      expect(AnnouncedTask.safeParse(announcement(task)).success, context).toBe(true)
      expect(Family.safeParse(task.family).success, context).toBe(true)
      // What an engine gets is one statement that reads the same again.
      const again = readStatement(task.sql, 'duckdb')
      if (sources.length === 0) expect(again.ok && again.value.sql === task.sql && again.value.arity === task.arity, context).toBe(true)
    }
    for (const problem of parsed.problems) {
      if (problem.severity === 'error') errors += 1
      expect(problem.line >= 1 && problem.line <= lines, context).toBe(true)
      expect(problem.message.length, context).toBeGreaterThan(10)
    }
    expect(parseTasks('/x.sql', content, sources), context).toEqual(parsed)
  }
  // A generator that only makes nonsense would test nothing.
  expect(tasks).toBeGreaterThan(FILES / 10)
  expect(errors).toBeGreaterThan(FILES / 10)
})

test('random bytes are read without a throw', () => {
  const random = randomOf(SEED + 1)
  for (let n = 0; n < 500; n++) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256))
    expect(Array.isArray(parseTasks('/x.sql', `-- name: a\n${new TextDecoder().decode(bytes)}`, []).tasks)).toBe(true)
  }
})

// What looks back at everything for each character would be at it for hours.
test('a hostile file of a megabyte is read at all', () => {
  const many = (text: string, thousands: number): string => text.repeat(thousands * 500)
  parseTasks('/x.sql', `-- name: a\n${many('-- a:b:', 200)}\nSELECT ${many('/*', 500)}`, [])
  parseTasks('/x.sql', `-- name: a\nSELECT ${many('$1,', 800)}1 ${many("''", 400)}`, [])
  const tags = `-- types: ${many('a', 500)}\n-- param: ${many('x ', 500)}\n-- max_runtime: ${many('1', 500)}`
  const { tasks, problems } = parseTasks('/x.sql', `-- name: a\n${tags}\nSELECT 1`, [])
  expect(tasks).toEqual([])
  expect(problems.length).toBeGreaterThan(0)
})
