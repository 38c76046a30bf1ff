import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { quoted } from '../../../edge/contract/slice-sql.ts'
import type { Mode, Slice } from '../../client/index.ts'
import { Icon } from '../icons.tsx'
import type { ViewState } from '../view-state.ts'

interface Props {
  slice: Slice
  mode: Mode
  view: ViewState
  busy: boolean
  error: Error | null
  run: (sql: string) => void
  leave: () => void
  close: () => void
}

const PLAIN = /^[a-z_][a-z0-9_]*$/
const WORDS = new Set([
  'select',
  'from',
  'where',
  'group',
  'order',
  'by',
  'limit',
  'table',
  'end',
  'case',
  'when',
  'then',
  'else',
  'all',
  'distinct',
  'union',
  'join',
  'on',
  'using',
  'having',
  'and',
  'or',
  'not',
  'null',
  'true',
  'false',
  'default',
  'desc',
  'asc',
  'in',
  'is',
  'as',
  'to',
  'user',
  'column',
  'check',
])
const written = (name: string): string => (PLAIN.test(name) && !WORDS.has(name) ? name : quoted(name))

const begin = (slice: Slice): string => {
  const first = slice.columns.find((column) => column.type === 'string') ?? slice.columns[0]
  return first === undefined
    ? 'SELECT *\nFROM result'
    : `SELECT ${written(first.name)}, count(*) AS n\nFROM result\nGROUP BY ALL\nORDER BY n DESC`
}

/** A SELECT over the relation `result`, always one key away. */
export const SqlDrawer = ({ slice, mode, view, busy, error, run, leave, close }: Props): JSX.Element => {
  const [text, setText] = useState(view.sql ?? begin(slice))
  const area = useRef<HTMLTextAreaElement | null>(null)
  useEffect(() => {
    if (view.sql !== null) setText(view.sql)
  }, [view.sql])
  useEffect(() => area.current?.focus(), [])
  const insert = (name: string): void => {
    const at = area.current
    if (at === null) return
    at.setRangeText(written(name), at.selectionStart, at.selectionEnd, 'end')
    setText(at.value)
    at.focus()
  }
  const start = (): void => {
    if (text.trim() !== '') run(text)
  }
  return (
    <section class="drawer" aria-label="SQL" data-hook="drawer">
      <header class="drawer-head">
        <span class="quiet">
          SQL over <code>result</code>, {mode === 'local' ? 'computed here' : 'computed at the server'}
        </span>
        <ul class="drawer-columns" aria-label="Columns to insert">
          {slice.columns.map((column) => (
            <li key={column.name}>
              <button type="button" class="link mono" onClick={() => insert(column.name)}>
                {column.name}
              </button>
            </li>
          ))}
        </ul>
        <button type="button" class="icon-button" aria-label="Fold the SQL away" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <textarea
        ref={area}
        class="mono"
        aria-label="SELECT statement"
        spellcheck={false}
        autocapitalize="off"
        rows={6}
        value={text}
        data-hook="sql"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault()
            start()
          }
        }}
      />
      <footer class="drawer-foot">
        <button type="button" class="button primary" onClick={start} data-hook="run-sql">
          <Icon name="run" /> {busy ? 'Computing…' : 'Run'} <kbd>Ctrl ⏎</kbd>
        </button>
        {view.sql === null ? null : (
          <button type="button" class="button" onClick={leave}>
            Back to the report
          </button>
        )}
        {error === null ? null : (
          <p class="problem mono" role="alert" data-hook="sql-error">
            {error.message}
          </p>
        )}
      </footer>
    </section>
  )
}
