import { describe, expect, it } from 'vitest'
import { curlOf, EMPTY_VIEW, filterByCell, readView, specOf, toggleGroup, toggleSort, type ViewState, writeView } from './view-state.ts'

const VIEW: ViewState = {
  where: [
    { col: 'a & b="c"', op: '=', value: 'x:y#z?ü' },
    { col: 'n', op: 'between', value: ['1', '9007199254740993'] },
    { col: 'n', op: 'is_null' },
    { col: 'flag', op: '=', value: false },
  ],
  order: ['-n', 'a & b="c"'],
  group: ['carrier'],
  sql: 'SELECT \'#\', "a" FROM result\nWHERE 1 < 2',
  source: 'parquet',
}

describe('the view in the address', () => {
  it('comes back as it went, whatever is in it', () => {
    expect(readView(new URLSearchParams(writeView(VIEW).toString()))).toEqual(VIEW)
    expect(readView(writeView(EMPTY_VIEW))).toEqual(EMPTY_VIEW)
    expect(writeView(EMPTY_VIEW).toString()).toBe('')
  })

  it('leaves out what cannot be read, and keeps the rest', () => {
    const query = new URLSearchParams()
    for (const text of ['{', '["a"]', '["a","like","x"]', '["","=",1]', '["a","=",{"b":1}]', '["a","=",1]']) query.append('where', text)
    query.append('order', '-')
    query.append('source', 'moon')
    expect(readView(query)).toEqual({ ...EMPTY_VIEW, where: [{ col: 'a', op: '=', value: 1 }] })
  })

  it('becomes a request with nothing in it that was not asked for', () => {
    expect(specOf(EMPTY_VIEW)).toEqual({})
    expect(specOf({ ...EMPTY_VIEW, group: ['x'] })).toEqual({ group: ['x'] })
  })

  it('copies as a command that a shell reads back exactly, without the token', () => {
    const command = curlOf('https://scarab.test', 'j1', { ...EMPTY_VIEW, where: [{ col: "it's", op: '=', value: "o'clock" }] })
    expect(command).toContain(`-d '{"where":[{"col":"it'\\''s","op":"=","value":"o'\\''clock"}]}' https://scarab.test/v1/jobs/j1/slice`)
    expect(command).toContain('$SCARAB_TOKEN')
  })
})

describe('toggleSort', () => {
  it('goes from ascending to descending to none', () => {
    expect(toggleSort([], 'a', false)).toEqual(['a'])
    expect(toggleSort(['a'], 'a', false)).toEqual(['-a'])
    expect(toggleSort(['-a'], 'a', false)).toEqual([])
    expect(toggleSort(['b'], 'a', false)).toEqual(['a'])
  })

  it('keeps the other columns and their places when asked', () => {
    expect(toggleSort(['b', 'a', 'c'], 'a', true)).toEqual(['b', '-a', 'c'])
    expect(toggleSort(['b', '-a', 'c'], 'a', true)).toEqual(['b', 'c'])
    expect(toggleSort(['b'], 'a', true)).toEqual(['b', 'a'])
  })
})

describe('filterByCell', () => {
  const columns = [
    { name: 'a', type: 'string' as const },
    { name: 'l', type: { type: 'list' as const, element: 'int' as const } },
  ]

  it('adds one filter for a cell, however often it is asked', () => {
    const once = filterByCell(EMPTY_VIEW, columns, 'a', 'x')
    expect(once).toEqual({ change: { where: [{ col: 'a', op: '=', value: 'x' }] } })
    if ('why' in once) throw new Error(once.why)
    expect(filterByCell({ ...EMPTY_VIEW, ...once.change }, columns, 'a', 'x')).toEqual(once)
  })

  it('takes null for null, and empty text for empty text', () => {
    expect(filterByCell(EMPTY_VIEW, columns, 'a', null)).toEqual({ change: { where: [{ col: 'a', op: 'is_null' }] } })
    expect(filterByCell(EMPTY_VIEW, columns, 'a', '')).toEqual({ change: { where: [{ col: 'a', op: '=', value: '' }] } })
  })

  it('leads from a group into its rows', () => {
    const view = { ...EMPTY_VIEW, ...toggleGroup([], 'a') }
    expect(view).toMatchObject({ group: ['a'], order: ['-count'] })
    expect(filterByCell(view, columns, 'a', 'x')).toEqual({ change: { where: [{ col: 'a', op: '=', value: 'x' }], group: [], order: [] } })
    expect(toggleGroup(['a'], 'a')).toEqual({ group: [], order: [] })
  })

  it('says why it cannot be', () => {
    expect(filterByCell({ ...EMPTY_VIEW, sql: 'SELECT 1' }, columns, 'a', 'x')).toHaveProperty('why')
    expect(filterByCell(EMPTY_VIEW, columns, 'count', '7')).toHaveProperty('why')
    expect(filterByCell(EMPTY_VIEW, columns, 'l', [1])).toHaveProperty('why')
  })
})
