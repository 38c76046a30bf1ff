import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

const KEYS: [title: string, rows: [keys: string, does: string][]][] = [
  [
    'Everywhere',
    [
      ['Ctrl K', 'Find a report, job or table'],
      ['?', 'These keys'],
      ['Esc', 'Close what is open'],
    ],
  ],
  [
    'In the table',
    [
      ['← ↑ → ↓', 'Move'],
      ['PgUp PgDn', 'A page up, down'],
      ['Home End', 'First, last column'],
      ['Ctrl Home, Ctrl End', 'First, last cell of all'],
      ['Shift + any of these', 'Select'],
      ['Ctrl C', 'Copy what is selected'],
      ['Enter', 'Filter by the cell'],
      ['S, Shift S', 'Sort by the column, also by it'],
      ['G', 'Group by the column'],
      ['/', 'Search the columns'],
    ],
  ],
  [
    'In the picture of a group',
    [
      ['← ↑ → ↓', 'To the next step'],
      ['Enter', 'Open its job, or decide'],
    ],
  ],
  ['In forms and SQL', [['Ctrl Enter', 'Run']]],
]

export const Keys = ({ close }: { close: () => void }): JSX.Element => {
  const dialog = useRef<HTMLDialogElement | null>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog class="keys" ref={dialog} onClose={close} aria-labelledby="keys-title" data-hook="keys">
      <h2 id="keys-title">Keys</h2>
      {KEYS.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([keys, does]) => (
              <div key={keys}>
                <dt>
                  <kbd>{keys}</kbd>
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <form method="dialog">
        <button type="submit" class="button">
          Close
        </button>
      </form>
    </dialog>
  )
}
