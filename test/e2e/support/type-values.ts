import type { ColumnType, WireValue } from '../../../edge/contract/columns.ts'

/** One column of four values: the least, the greatest, NULL and an ordinary one. */
export interface TypedColumn {
  name: string
  type: ColumnType
  /** SQL of the values for DuckDB. */
  duckdb: readonly string[]
  /** SQL of the values for PostgreSQL; null where it has no such type. */
  postgres: readonly string[] | null
  /** What every answer in JSON holds. */
  wire: readonly WireValue[]
}

const column = (
  name: string,
  type: ColumnType,
  duckdb: readonly string[],
  postgres: readonly string[] | null,
  wire: readonly WireValue[],
): TypedColumn => ({
  name,
  type,
  duckdb,
  postgres,
  wire,
})

/** The same literals for both, cast to a type each. */
const cast = (
  name: string,
  type: string,
  sql: string,
  texts: readonly (string | null)[],
  wire: readonly WireValue[],
  postgres = sql,
): TypedColumn => {
  const values = (to: string): string[] =>
    texts.map((text) => `CAST(${text === null ? 'NULL' : `'${text.replaceAll("'", "''")}'`} AS ${to})`)
  return column(name, type, values(sql), values(postgres), wire)
}

const MOST = '9999999999999999999999999999.9999999999'
const LONG_TEXT = 'Grüße 日本 🦆 "quoted", \\comma; \'single\''
const UUIDS = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null, '0b6c6a4e-7a4c-4f0e-9a53-1c2f5a7d9e11']

export const COLUMNS: readonly TypedColumn[] = [
  cast('flag', 'boolean', 'BOOLEAN', ['false', 'true', null, 'true'], [false, true, null, true]),
  cast('whole', 'int', 'INTEGER', ['-2147483648', '2147483647', null, '0'], [-2147483648, 2147483647, null, 0]),
  cast(
    'big',
    'long',
    'BIGINT',
    ['-9223372036854775808', '9223372036854775807', null, '9007199254740993'],
    ['-9223372036854775808', '9223372036854775807', null, '9007199254740993'],
  ),
  cast('price', 'decimal(38,10)', 'DECIMAL(38,10)', [`-${MOST}`, MOST, null, '0.0000000001'], [`-${MOST}`, MOST, null, '0.0000000001']),
  cast('cents', 'decimal(9,2)', 'DECIMAL(9,2)', ['-9999999.99', '9999999.99', null, '0'], ['-9999999.99', '9999999.99', null, '0.00']),
  cast('single', 'float', 'REAL', ['-Infinity', '0.1', null, '16777216'], ['-Infinity', Math.fround(0.1), null, 16777216]),
  cast('ratio', 'double', 'DOUBLE', ['NaN', 'Infinity', null, '5e-324'], ['NaN', 'Infinity', null, 5e-324], 'DOUBLE PRECISION'),
  cast('day', 'date', 'DATE', ['0001-01-01', '9999-12-31', null, '1969-12-31'], ['0001-01-01', '9999-12-31', null, '1969-12-31']),
  cast(
    'clock',
    'time',
    'TIME',
    ['00:00:00', '23:59:59.999999', null, '12:00:00.000001'],
    ['00:00:00.000000', '23:59:59.999999', null, '12:00:00.000001'],
  ),
  cast(
    'at',
    'timestamp',
    'TIMESTAMP',
    ['0001-01-01 00:00:00.000001', '9999-12-31 23:59:59.999999', null, '1969-12-31 23:59:59.999999'],
    ['0001-01-01T00:00:00.000001', '9999-12-31T23:59:59.999999', null, '1969-12-31T23:59:59.999999'],
  ),
  cast(
    'moment',
    'timestamptz',
    'TIMESTAMPTZ',
    ['0001-01-01 00:00:00.000001+00', '9999-12-31 23:59:59.999999+00', null, '2024-02-29 12:00:00+02'],
    ['0001-01-01T00:00:00.000001Z', '9999-12-31T23:59:59.999999Z', null, '2024-02-29T10:00:00.000000Z'],
  ),
  cast('key', 'uuid', 'UUID', UUIDS, UUIDS),
  cast('text', 'string', 'VARCHAR', ['', LONG_TEXT, null, 'NULL'], ['', LONG_TEXT, null, 'NULL']),
  cast('select', 'string', 'VARCHAR', ['two\nlines', 'tab\t', null, ' '], ['two\nlines', 'tab\t', null, ' ']),
  cast('a"b', 'string', 'VARCHAR', ['\r', ',', null, '"'], ['\r', ',', null, '"']),
  cast('Übergröße', 'string', 'VARCHAR', ['ẞ', 'e\u0301', null, '\ufeff\u200b'], ['ẞ', 'e\u0301', null, '\ufeff\u200b']),
  column(
    'bytes',
    'binary',
    ["''::BLOB", "'\\x00\\xFF\\x0A'::BLOB", 'NULL::BLOB', "'abc'::BLOB"],
    ["''::bytea", "'\\x00ff0a'::bytea", 'NULL::bytea', "'abc'::bytea"],
    ['', 'AP8K', null, 'YWJj'],
  ),
  column(
    'numbers',
    { type: 'list', element: 'long' },
    ['[]::BIGINT[]', '[9223372036854775807, NULL]::BIGINT[]', 'NULL::BIGINT[]', '[1, 2, 3]::BIGINT[]'],
    ["'{}'::bigint[]", "'{9223372036854775807, NULL}'::bigint[]", 'NULL::bigint[]', "'{1,2,3}'::bigint[]"],
    [[], ['9223372036854775807', null], null, ['1', '2', '3']],
  ),
  column(
    'words',
    { type: 'list', element: 'string' },
    ["['']", "['NULL', NULL, 'a,\"b']", 'NULL::VARCHAR[]', "['{}']"],
    ["ARRAY['']", "ARRAY['NULL', NULL, 'a,\"b']", 'NULL::text[]', "ARRAY['{}']"],
    [[''], ['NULL', null, 'a,"b'], null, ['{}']],
  ),
  column(
    'place',
    {
      type: 'struct',
      fields: [
        { name: 'select', type: 'decimal(38,10)' },
        { name: 'when', type: 'timestamp' },
      ],
    },
    [
      `{'select': -${MOST}::DECIMAL(38,10), 'when': NULL::TIMESTAMP}`,
      `{'select': '${MOST}'::DECIMAL(38,10), 'when': TIMESTAMP '2024-02-29 00:00:00.000001'}`,
      'NULL',
      `{'select': NULL::DECIMAL(38,10), 'when': NULL::TIMESTAMP}`,
    ],
    null,
    [{ select: `-${MOST}`, when: null }, { select: MOST, when: '2024-02-29T00:00:00.000001' }, null, { select: null, when: null }],
  ),
  column(
    'tree',
    {
      type: 'list',
      element: {
        type: 'struct',
        fields: [
          { name: 'ids', type: { type: 'list', element: 'long' } },
          { name: 'name', type: 'string' },
        ],
      },
    },
    [
      '[]',
      "[{'ids': [9223372036854775807], 'name': ''}, NULL, {'ids': NULL, 'name': NULL}]",
      'NULL',
      "[{'ids': []::BIGINT[], 'name': 'ä'}]",
    ],
    null,
    [[], [{ ids: ['9223372036854775807'], name: '' }, null, { ids: null, name: null }], null, [{ ids: [], name: 'ä' }]],
  ),
  column(
    'pairs',
    { type: 'map', key: 'string', value: 'decimal(9,2)' },
    ['MAP {}', "MAP {'': 1.50::DECIMAL(9,2), 'x': NULL}", 'NULL', "MAP {'a\"b': -0.01::DECIMAL(9,2)}"],
    null,
    [
      [],
      [
        { key: '', value: '1.50' },
        { key: 'x', value: null },
      ],
      null,
      [{ key: 'a"b', value: '-0.01' }],
    ],
  ),
]

const name = (text: string): string => `"${text.replaceAll('"', '""')}"`
export type TypedEngine = 'duckdb' | 'postgres'
export const columnsOf = (engine: TypedEngine): readonly TypedColumn[] => COLUMNS.filter((one) => one[engine] !== null)

/** The four rows with a number `n` and `noise`; with `padding` further rows of NULLs, so that the result is a large one. */
export const typedQuery = (engine: TypedEngine, padding = 0): string => {
  const columns = columnsOf(engine)
  const rows = [0, 1, 2, 3].map(
    (row) => `SELECT ${row} AS n, 'x' AS noise, ${columns.map((one) => `${one[engine]?.[row]} AS ${name(one.name)}`).join(', ')}`,
  )
  // The NULLs of the third row carry each column's type.
  const nulls = columns.map((one) => `${engine === 'duckdb' ? 'NULL' : one.postgres?.[2]}`).join(', ')
  if (padding > 0) {
    const series = engine === 'duckdb' ? `range(${padding}) r(i)` : `generate_series(0, ${padding - 1}) r(i)`
    rows.push(`SELECT (100 + i)::INTEGER, md5(CAST(i AS VARCHAR)), ${nulls} FROM ${series}`)
  }
  return `SELECT * FROM (\n${rows.join('\nUNION ALL\n')}\n) q ORDER BY n`
}

/** The four rows as every JSON answer gives them. */
export const wireRows = (engine: TypedEngine): WireValue[][] =>
  [0, 1, 2, 3].map((row) => [row, 'x', ...columnsOf(engine).map(({ wire }) => wire[row] ?? null)])
