import { describe, expect, test } from 'bun:test'
import type { Source } from '../engines/engine.ts'
import { EMBEDDED_DUCKDB } from '../tasks/sources.ts'
import { candidates, pick } from './choose.ts'

const source = (name: string, type: Source['type']): Source => ({ name, type, dsn: 'x', maxActive: 2 })
const sales = source('sales', 'postgres')
const stock = source('stock', 'postgres')
const lake = source('lake', 'clickhouse')
const all = [sales, stock, lake, EMBEDDED_DUCKDB]
const nothing = { db: null, engine_hint: null }
const names = (found: Source[]): string[] => found.map(({ name }) => name)

describe('where a job may run', () => {
  test("the source asked for with the job beats the task's own list", () => {
    expect(names(candidates({ ...nothing, db: 'stock' }, { db: ['sales', 'stock'], engine_hint: null }, all))).toEqual(['stock'])
  })
  test('a source that the node does not have is none', () => {
    expect(candidates({ ...nothing, db: 'gone' }, { db: [], engine_hint: null }, all)).toEqual([])
  })
  test("else the task's list", () => {
    expect(names(candidates(nothing, { db: ['sales', 'lake'], engine_hint: null }, all))).toEqual(['sales', 'lake'])
  })
  test("the job's hint beats the task's", () => {
    expect(names(candidates({ ...nothing, engine_hint: 'clickhouse' }, { db: [], engine_hint: 'postgres' }, all))).toEqual(['lake'])
  })
  test('else every configured source, and the embedded DuckDB where none is configured', () => {
    expect(names(candidates(nothing, { db: [], engine_hint: null }, all))).toEqual(['sales', 'stock', 'lake'])
    expect(names(candidates(nothing, { db: [], engine_hint: null }, [EMBEDDED_DUCKDB]))).toEqual(['duckdb'])
  })
})

describe('which of them', () => {
  const full = (name: string): boolean => name === 'sales'
  test('one with room, at random', () => {
    expect([0, 0.49, 0.5, 0.99].map((random) => pick([sales, stock, lake], full, random)?.name)).toEqual(['stock', 'stock', 'lake', 'lake'])
  })
  test('none when all are full', () => {
    expect(pick([sales], full, 0)).toBeNull()
  })
})
