import { describe, expect, it } from 'vitest'
import { curlOf, EMPTY_VIEW, readView, specOf, toggleSort, type ViewState, writeView } from './view-state.ts'

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
