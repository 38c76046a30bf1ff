import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { PATIENCE_MS } from '../test-patience.ts'
import { isTiny, type TinyColumn, tinyParquet } from './tiny-parquet.ts'
import { type TinyValue, tinyWire } from './tiny-values.ts'

setDefaultTimeout(PATIENCE_MS)

const bytes = (...values: number[]) => Uint8Array.from(values)
const uuid = bytes(0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11)

/** Each type with values, their SQL (as DuckDB prints it) and their wire form. */
const TYPES: { type: string; sql: string; values: TinyValue[]; shown: (string | null)[]; wire: unknown[] }[] = [
  { type: 'boolean', sql: 'BOOLEAN', values: [true, null, false], shown: ['true', null, 'false'], wire: [true, null, false] },
  {
    type: 'int',
    sql: 'INTEGER',
    values: [-2147483648, 0, 2147483647],
    shown: ['-2147483648', '0', '2147483647'],
    wire: [-2147483648, 0, 2147483647],
  },
  {
    type: 'long',
    sql: 'BIGINT',
    values: [-(2n ** 63n), null, 2n ** 63n - 1n],
    shown: ['-9223372036854775808', null, '9223372036854775807'],
    wire: ['-9223372036854775808', null, '9223372036854775807'],
  },
  {
    type: 'float',
    sql: 'FLOAT',
    values: [Math.fround(0.1), Number.NaN, Number.NEGATIVE_INFINITY],
    shown: ['0.1', 'nan', '-inf'],
    wire: [Math.fround(0.1), 'NaN', '-Infinity'],
  },
  { type: 'double', sql: 'DOUBLE', values: [0.1, 5e-324, null], shown: ['0.1', '5e-324', null], wire: [0.1, 5e-324, null] },
  {
    type: 'date',
    sql: 'DATE',
    values: [0, -719_162, 19_782],
    shown: ['1970-01-01', '0001-01-01', '2024-02-29'],
    wire: ['1970-01-01', '0001-01-01', '2024-02-29'],
  },
  {
    type: 'time',
    sql: 'TIME',
    values: [0n, 86_399_999_999n, null],
    shown: ['00:00:00', '23:59:59.999999', null],
    wire: ['00:00:00.000000', '23:59:59.999999', null],
  },
  {
    type: 'timestamp',
    sql: 'TIMESTAMP',
    values: [-1n, 1_704_164_645_000_006n, null],
    shown: ['1969-12-31 23:59:59.999999', '2024-01-02 03:04:05.000006', null],
    wire: ['1969-12-31T23:59:59.999999', '2024-01-02T03:04:05.000006', null],
  },
  {
    type: 'timestamptz',
    sql: 'TIMESTAMP WITH TIME ZONE',
    values: [0n, 1_704_164_645_000_006n, null],
    shown: ['1970-01-01 00:00:00+00', '2024-01-02 03:04:05.000006+00', null],
    wire: ['1970-01-01T00:00:00.000000Z', '2024-01-02T03:04:05.000006Z', null],
  },
  {
    type: 'string',
    sql: 'VARCHAR',
    values: ['', 'Grüße 🪲 "x"', null],
    shown: ['', 'Grüße 🪲 "x"', null],
    wire: ['', 'Grüße 🪲 "x"', null],
  },
  {
    type: 'uuid',
    sql: 'UUID',
    values: [uuid, null, new Uint8Array(16)],
    shown: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null, '00000000-0000-0000-0000-000000000000'],
    wire: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null, '00000000-0000-0000-0000-000000000000'],
  },
  { type: 'binary', sql: 'BLOB', values: [bytes(), bytes(0, 255, 65), null], shown: ['', '\\x00\\xFFA', null], wire: ['', 'AP9B', null] },
  { type: 'decimal(1,0)', sql: 'DECIMAL(1,0)', values: [9n, -9n, 0n], shown: ['9', '-9', '0'], wire: ['9', '-9', '0'] },
  {
    type: 'decimal(9,2)',
    sql: 'DECIMAL(9,2)',
    values: [-999_999_999n, 5n, null],
    shown: ['-9999999.99', '0.05', null],
    wire: ['-9999999.99', '0.05', null],
  },
  {
    type: 'decimal(18,4)',
    sql: 'DECIMAL(18,4)',
    values: [10n ** 18n - 1n, -1n, null],
    shown: ['99999999999999.9999', '-0.0001', null],
    wire: ['99999999999999.9999', '-0.0001', null],
  },
  {
    type: 'decimal(19,0)',
    sql: 'DECIMAL(19,0)',
    values: [10n ** 19n - 1n, -(2n ** 63n) - 1n, 0n],
    shown: ['9999999999999999999', '-9223372036854775809', '0'],
    wire: ['9999999999999999999', '-9223372036854775809', '0'],
  },
  {
    type: 'decimal(38,10)',
    sql: 'DECIMAL(38,10)',
    values: [10n ** 38n - 1n, -(10n ** 38n) + 1n, -1n],
    shown: ['9999999999999999999999999999.9999999999', '-9999999999999999999999999999.9999999999', '-0.0000000001'],
    wire: ['9999999999999999999999999999.9999999999', '-9999999999999999999999999999.9999999999', '-0.0000000001'],
  },
]

const COLUMNS: TinyColumn[] = TYPES.map(({ type, values }, n) => ({ id: n + 4, name: n === 0 ? 'select' : `c"${n}`, type, values }))

let folder: string
let file: string
let duckdb: DuckDBConnection

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scarab-tiny-'))
  file = join(folder, 'tiny.parquet')
  await writeFile(file, tinyParquet(COLUMNS, 3).bytes)
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  await duckdb.run("set timezone = 'UTC'")
})
afterAll(async () => {
  duckdb.closeSync()
  await rm(folder, { recursive: true, force: true })
})

const rows = async (sql: string) => (await duckdb.runAndReadAll(sql)).getRowsJson()
const asText = COLUMNS.map(({ name }) => `"${name.replaceAll('"', '""')}"::varchar`).join(', ')

describe('tiny Parquet files', () => {
  test('every value of every type is read by DuckDB as it was written', async () => {
    expect(await rows(`select ${asText} from '${file}'`)).toEqual([0, 1, 2].map((r) => TYPES.map(({ shown }) => shown[r] ?? null)))
    expect((await rows(`describe select * from '${file}'`)).map((row) => row[1])).toEqual(TYPES.map(({ sql }) => sql))
  })

  test('the schema is the one that DuckDB itself would write, so that chunks of both fit into one file', async () => {
    const other = join(folder, 'duckdb.parquet')
    const select = TYPES.map(({ sql }, n) => `null::${sql} as "${(COLUMNS[n]?.name ?? '').replaceAll('"', '""')}"`).join(', ')
    const ids = COLUMNS.map(({ name, id }) => `"${name.replaceAll('"', '""')}": ${id}`).join(', ')
    await duckdb.run(`copy (select ${select}) to '${other}' (format parquet, field_ids {${ids}})`)
    const schema = (path: string) =>
      rows(
        `select name, type, type_length, repetition_type, field_id, scale, precision from parquet_schema('${path}') where num_children is null`,
      )
    expect(await schema(file)).toEqual(await schema(other))
  })

  test('another reader agrees: hyparquet finds values, NULLs, field ids and bounds', async () => {
    const buffer = await Bun.file(file).arrayBuffer()
    const metadata = parquetMetadata(buffer)
    expect(Number(metadata.num_rows)).toBe(3)
    expect(metadata.schema.slice(1).map((element) => element.field_id)).toEqual(COLUMNS.map(({ id }) => id))
    const objects = await parquetReadObjects({ file: buffer })
    const column = (type: string) => objects.map((row) => row[COLUMNS.find((one) => one.type === type)?.name ?? ''])
    expect(column('boolean')).toEqual([true, null, false])
    expect(column('long')).toEqual([-(2n ** 63n), null, 2n ** 63n - 1n])
    expect(column('string')).toEqual(['', 'Grüße 🪲 "x"', null])
    expect(column('double')).toEqual([0.1, 5e-324, null])
    expect(column('decimal(9,2)')).toEqual([-9999999.99, 0.05, null])
    const long = metadata.row_groups[0]?.columns[2]?.meta_data?.statistics
    expect(long).toMatchObject({ min_value: -(2n ** 63n), max_value: 2n ** 63n - 1n, null_count: 1n })
  })

  test('filters that use the bounds find what is there', async () => {
    for (const [n, { type, sql, shown, wire }] of TYPES.entries()) {
      for (const [r, text] of shown.entries()) {
        if (text === null || type === 'binary' || wire[r] === 'NaN') continue
        const name = `"${(COLUMNS[n]?.name ?? '').replaceAll('"', '""')}"`
        const found = await rows(
          `select count(*)::int from '${file}' where ${name} = '${text}'::${sql} and ${name} between '${text}'::${sql} and '${text}'::${sql}`,
        )
        expect({ type, text, found }).toEqual({ type, text, found: [[1]] })
      }
    }
  })

  test('wire values are those of the contract', () => {
    for (const { type, values, wire } of TYPES) expect(values.map((value) => tinyWire(type, value))).toEqual(wire as never)
  })

  test('statistics count NULLs and NaNs and leave NaN out of the bounds', () => {
    const { stats, splitOffsets } = tinyParquet(COLUMNS, 3)
    const of = (type: string) => stats[TYPES.findIndex((one) => one.type === type)]
    expect(splitOffsets).toEqual([4])
    expect(of('float')).toMatchObject({ values: 3, nulls: 0, nans: 1, min: '-Infinity', max: String(Math.fround(0.1)) })
    expect(of('string')).toMatchObject({ nulls: 1, nans: 0, min: '', max: 'Grüße 🪲 "x"' })
    expect(of('decimal(38,10)')).toMatchObject({
      min: '-9999999999999999999999999999.9999999999',
      max: '9999999999999999999999999999.9999999999',
    })
    expect(of('timestamptz')).toMatchObject({ min: '1970-01-01T00:00:00.000000Z', max: '2024-01-02T03:04:05.000006Z' })
    const nothing = tinyParquet([{ id: 4, name: 'n', type: 'double', values: [null, Number.NaN] }], 2).stats[0]
    expect(nothing).toMatchObject({ nulls: 1, nans: 1, min: null, max: null })
  })

  test('text is ordered by its bytes: an astral character above one of the end of the basic plane', () => {
    const { stats } = tinyParquet([{ id: 4, name: 's', type: 'string', values: ['\u{1F41E}', '\uFF5E'] }], 2)
    expect(stats[0]).toMatchObject({ min: '\uFF5E', max: '\u{1F41E}' })
  })

  test('a long text is not cut in the file, only in its bounds', async () => {
    const long = 'x'.repeat(5_000)
    const { bytes: content, stats } = tinyParquet([{ id: 4, name: 's', type: 'string', values: [long] }], 1)
    const path = join(folder, 'long.parquet')
    await writeFile(path, content)
    expect(await rows(`select length(s)::int, s = repeat('x', 5000) from '${path}'`)).toEqual([[5_000, true]])
    expect(stats[0]?.min?.length).toBeLessThan(100)
  })

  test('many rows and many columns, NULLs in runs of any length', async () => {
    const count = 1_500
    const columns: TinyColumn[] = Array.from({ length: 40 }, (_, c) => ({
      id: c + 4,
      name: `c${c}`,
      type: c % 2 ? 'long' : 'boolean',
      values: Array.from({ length: count }, (_, r) => ((r * (c + 1)) % 7 < c % 5 ? null : c % 2 ? BigInt(r) : r % 3 === 0)),
    }))
    const path = join(folder, 'many.parquet')
    await writeFile(path, tinyParquet(columns, count).bytes)
    const read = await rows(`select ${columns.map(({ name }) => name).join(', ')} from '${path}'`)
    expect(read).toEqual(
      Array.from({ length: count }, (_, r) =>
        columns.map(({ values }) => (typeof values[r] === 'bigint' ? String(values[r]) : (values[r] ?? null))),
      ) as never,
    )
  })

  test('no rows make a valid file with its schema', async () => {
    const { bytes: content, splitOffsets } = tinyParquet(
      COLUMNS.map((column) => ({ ...column, values: [] })),
      0,
    )
    const path = join(folder, 'empty.parquet')
    await writeFile(path, content)
    expect(splitOffsets).toEqual([])
    expect(await rows(`select * from '${path}'`)).toEqual([])
    expect((await rows(`describe select * from '${path}'`)).map((row) => row[1])).toEqual(TYPES.map(({ sql }) => sql))
  })

  test('nested types are not for this writer, and a value of a wrong kind is refused', () => {
    expect(isTiny({ type: 'list', element: 'int' })).toBe(false)
    expect(() => tinyParquet([{ id: 4, name: 'x', type: { type: 'list', element: 'int' }, values: [] }], 0)).toThrow('"x"')
    expect(() => tinyParquet([{ id: 4, name: 'x', type: 'long', values: ['1'] }], 1)).toThrow('"x"')
    expect(() => tinyParquet([{ id: 4, name: 'x', type: 'boolean', values: [1] }], 1)).toThrow('"x"')
    expect(() => tinyParquet([{ id: 4, name: 'x', type: 'int', values: [] }], 1)).toThrow('"x"')
  })
})
