import { expect, test } from 'vitest'
import { bindArguments } from './arguments.ts'

const text = { name: 't', params: [{ name: 'a', type: 'text' as const }], arity: 1 }
const plain = { name: 'p', params: [], arity: 1 }

test('what JSON has changed, or what is no text, is refused before it could be bound as something else', () => {
  // Written 9007199254740993: JSON.parse has made another number of it.
  expect(bindArguments(plain, [JSON.parse('9007199254740993')])).toEqual({
    ok: false,
    detail: 'The argument 1 of "p", 9007199254740992, has lost digits as a JSON number: send it as a string.',
  })
  expect(bindArguments(plain, ['\ud800'])).toMatchObject({ ok: false, detail: expect.stringContaining('half a surrogate pair') })
  expect(bindArguments(text, { a: 'x\udc00' })).toMatchObject({ ok: false, detail: expect.stringContaining('half surrogate pair') })
  for (const value of ['9007199254740993', Number.MAX_SAFE_INTEGER, 0.1, true, null, '🦆'])
    expect(bindArguments(plain, [value])).toEqual({ ok: true, args: [value] })
  expect(bindArguments(text, { a: '🦆' })).toEqual({ ok: true, args: ['🦆'] })
})

test('a value that can be written in several ways is kept in one', () => {
  const types = ['int', 'bigint', 'bigint', 'double', 'double', 'boolean', 'uuid', 'decimal', 'text'] as const
  const task = { name: 'w', params: types.map((type, n) => ({ name: `p${n}`, type })), arity: types.length }
  const id = '0A0B0C0D-0000-4000-8000-000000000000'
  expect(bindArguments(task, ['007', '42', '9007199254740993', '1.50', '-0', 'true', id, '1.50', '7'])).toEqual({
    ok: true,
    args: [7, 42, '9007199254740993', 1.5, '-0', true, id.toLowerCase(), '1.50', '7'],
  })
  expect(bindArguments(task, [7, 42, -1, 1.5, 0, false, null, 1.5, ''])).toEqual({
    ok: true,
    args: [7, 42, -1, 1.5, 0, false, null, 1.5, ''],
  })
})
