import { expect, test } from 'vitest'
import { csvOf } from './csv.ts'

test('NULL is nothing, empty text is quoted, separators and line ends are quoted, quotes doubled', () => {
  const columns = [{ name: 'a"b' }, { name: 'x,y' }, { name: 'plain' }]
  const rows = [
    [null, '', 'é'],
    ['a,b', 'say "hi"', 'two\nlines'],
    [true, 1.5, '9007199254740993'],
    [['x', null], { k: 'v' }, 'NaN'],
    ['\r', ' padded ', null],
  ]
  expect(csvOf(columns, rows)).toBe(
    [
      '"a""b","x,y",plain',
      ',"",é',
      '"a,b","say ""hi""","two\nlines"',
      'true,1.5,9007199254740993',
      '"[""x"",null]","{""k"":""v""}",NaN',
      '"\r", padded ,',
      '',
    ].join('\n'),
  )
})

test('no rows leave the header line', () => {
  expect(csvOf([{ name: 'a' }], [])).toBe('a\n')
})
