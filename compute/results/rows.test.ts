import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Column, ColumnType } from '../../edge/contract/columns.ts'
import { type TryOut, tryOut } from '../engines/duckdb/fixture.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { csvExpression, csvHeader, csvRowExpression, wireExpression, wireRowExpression } from './rows.ts'

setDefaultTimeout(PATIENCE_MS)

let out: TryOut
beforeAll(async () => {
  out = await tryOut()
})
afterAll(() => out.close())

const ask = (sql: string) => out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) => session.run(sql))
const texts = async (sql: string): Promise<string[]> => (await ask(sql)).map((row) => String(row[0]))

/** The CSV field of a wire value, as the edge writes it from inline rows. */
const fieldOf = (value: unknown): string => {
  if (value === null) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Deterministic bits (xorshift64*, Marsaglia): every kind of double, by its bit pattern. */
const doubles = (count: number): number[] => {
  let state = 0x9e3779b97f4a7c15n
  return Array.from({ length: count }, () => {
    state ^= state >> 12n
    state = BigInt.asUintN(64, state ^ (state << 25n))
    state ^= state >> 27n
    return new Float64Array(new BigUint64Array([BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn)]).buffer)[0] ?? 0
  })
}

describe('doubles', () => {
  const samples = [
    0,
    -0,
    1,
    -1,
    1.5,
    100,
    1e5,
    1e15,
    1e16,
    123456789012345680,
    1e20,
    1e21,
    1.5e21,
    1e-5,
    1e-6,
    1e-7,
    1.5e-7,
    5e-324,
    1.7976931348623157e308,
    0.1,
    2 / 3,
  ]
  const all = [...samples, ...doubles(2_000).filter(Number.isFinite)]
  const rows = `(SELECT unnest([${all.map((value) => (Object.is(value, -0) ? "'-0'" : `'${value}'`)).join(', ')}])::DOUBLE AS v)`

  test('keep every bit on the wire', async () => {
    const wire = await texts(`SELECT ${wireExpression('v', 'double')} FROM ${rows}`)
    expect(wire.map((text) => JSON.parse(text))).toEqual(all)
  })

  test('are the same CSV text as JavaScript writes', async () => {
    expect(await texts(`SELECT ${csvExpression('v', 'double')} FROM ${rows}`)).toEqual(all.map(String))
  })

  test('that are no numbers are texts', async () => {
    const special = "(SELECT unnest(['nan', 'inf', '-inf', NULL])::DOUBLE AS v)"
    expect(await texts(`SELECT ${wireExpression('v', 'double')} FROM ${special}`)).toEqual(['"NaN"', '"Infinity"', '"-Infinity"', 'null'])
    expect(await texts(`SELECT ${csvExpression('v', 'float')} FROM (SELECT v::FLOAT AS v FROM ${special})`)).toEqual([
      'NaN',
      'Infinity',
      '-Infinity',
      '',
    ])
  })
})

describe('texts', () => {
  const values = [
    '',
    ' ',
    'a',
    'a,b',
    'a"b',
    'a\nb',
    'a\r',
    '"',
    "'",
    '\\',
    'null',
    'NULL',
    '\u0000',
    '\u001f',
    '\u2028',
    'é',
    '🪲',
    '</script>',
    '=1+1',
  ]

  test('survive JSON and CSV', async () => {
    const escaped = values.map((value) => [...value].map((character) => `chr(${character.codePointAt(0)})`).join(' || ') || "''")
    const rows = `(SELECT unnest([${escaped.join(', ')}]) AS v)`
    expect((await texts(`SELECT ${wireExpression('v', 'string')} FROM ${rows}`)).map((text) => JSON.parse(text))).toEqual(values)
    expect(await texts(`SELECT ${csvExpression('v', 'string')} FROM ${rows}`)).toEqual(values.map(fieldOf))
  })
})

const struct: ColumnType = {
  type: 'struct',
  fields: [
    { name: 'a b', type: 'long' },
    { name: '__proto__', type: { type: 'list', element: 'binary' } },
    { name: 'q\'"', type: { type: 'map', key: 'date', value: 'double' } },
  ],
}

describe('nested values', () => {
  const value = `{'a b': 9007199254740993, '__proto__': ['\\x00'::BLOB, NULL], 'q''"': MAP {DATE '2024-01-02': 'nan'::DOUBLE}}`
  const text = `{"a b":"9007199254740993","__proto__":["AA==",null],"q'\\"":[{"key":"2024-01-02","value":"NaN"}]}`

  test('are JSON on the wire, with each leaf exact', async () => {
    expect(await texts(`SELECT ${wireExpression('v', struct)} FROM (SELECT ${value} AS v)`)).toEqual([text])
    expect(await texts(`SELECT ${wireExpression('v', { type: 'list', element: struct })} FROM (SELECT [${value}, NULL] AS v)`)).toEqual([
      `[${text},null]`,
    ])
  })

  test('are quoted JSON in CSV, and nothing when NULL', async () => {
    const rows = `(SELECT unnest([${value}, NULL]) AS v)`
    expect(await texts(`SELECT ${csvExpression('v', struct)} FROM ${rows}`)).toEqual([`"${text.replaceAll('"', '""')}"`, ''])
  })
})

describe('rows', () => {
  const columns: Column[] = [
    { name: 'select', type: 'int' },
    { name: 'a"b', type: 'string' },
    { name: 'n', type: 'decimal(38,10)' },
  ]
  const rows = `(SELECT * FROM (VALUES (1, '', 1.5::DECIMAL(38,10)), (NULL, NULL, NULL), (2, 'x,y', 0)) AS t("select", "a""b", n))`

  test('are one JSON array each', async () => {
    expect(await texts(`SELECT ${wireRowExpression(columns)} FROM ${rows}`)).toEqual([
      '[1,"","1.5000000000"]',
      '[null,null,null]',
      '[2,"x,y","0.0000000000"]',
    ])
  })

  test('are one CSV line each, under a header of quoted names', async () => {
    expect(await texts(`SELECT ${csvRowExpression(columns)} FROM ${rows}`)).toEqual(['1,"",1.5000000000', ',,', '2,"x,y",0.0000000000'])
    expect(csvHeader(['select', 'a"b', 'c,d', ''])).toBe('select,"a""b","c,d",""')
  })

  test('may be as wide as a result may be', async () => {
    const wide: Column[] = Array.from({ length: 1_000 }, (_, n) => ({ name: `c${n}`, type: 'int' }))
    const from = `(SELECT ${wide.map(({ name }, n) => `${n} AS ${name}`).join(', ')})`
    const numbers = wide.map((_, n) => n)
    expect(await texts(`SELECT ${csvRowExpression(wide)} FROM ${from}`)).toEqual([numbers.join(',')])
    expect(await texts(`SELECT ${wireRowExpression(wide)} FROM ${from}`)).toEqual([JSON.stringify(numbers)])
    const struct: ColumnType = { type: 'struct', fields: wide }
    const one = `(SELECT {${wide.map(({ name }, n) => `${name}: ${n}`).join(', ')}} AS v)`
    expect(await texts(`SELECT ${wireExpression('v', struct)} FROM ${one}`)).toEqual([
      JSON.stringify(Object.fromEntries(wide.map(({ name }, n) => [name, n]))),
    ])
  })
})
