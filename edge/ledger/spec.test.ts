import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { INNER_STATES, JOB_INPUTS, JOB_TABLE, type Next, PUBLICATION_INPUTS, PUBLICATION_TABLE } from './states.ts'
import { LEDGER_TIMERS } from './timers.ts'

const page = readFileSync(new URL('./SPEC.md', import.meta.url), 'utf8')

/** Cells of the table that follows a heading, its header line first. */
const tableUnder = (heading: string): string[][] => {
  const lines = page.slice(page.indexOf(`## ${heading}\n`)).split('\n')
  const from = lines.findIndex((line) => line.startsWith('|'))
  const rows = lines.slice(from)
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .filter((line) => !line.startsWith('| ---'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}

test('the page shows the table of job states as it is', () => {
  const shown = (next: Next): string => (typeof next !== 'string' ? next.to : next === 'ignored' ? '·' : next)
  expect(tableUnder('Job: states × inputs')).toEqual([
    ['state \\ input', ...JOB_INPUTS],
    ...INNER_STATES.map((state) => [state, ...JOB_INPUTS.map((input) => shown(JOB_TABLE[state][input]))]),
  ])
})

test('the page shows the table of publication as it is', () => {
  expect(tableUnder('Publication: states × inputs')).toEqual([
    ['state \\ input', ...PUBLICATION_INPUTS],
    ...Object.entries(PUBLICATION_TABLE).map(([state, row]) => [
      state,
      ...PUBLICATION_INPUTS.map((input) => (row[input] === 'ignored' ? '·' : row[input])),
    ]),
  ])
})

test('the page names every timer', () => {
  expect(
    tableUnder('Timers')
      .slice(1)
      .map(([kind]) => kind),
  ).toEqual([...LEDGER_TIMERS])
})
