import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ago } from '../format.ts'
import { listTables } from '../iceberg.ts'
import { Icon, type IconName } from '../icons.tsx'
import { jobs, loadJobs, loadTasks, tasks } from '../library.ts'
import { useLoad } from '../load.ts'
import { address, go } from '../route.ts'

interface Found {
  key: string
  icon: IconName
  text: string
  about: string
  to: string
}

const SHOWN = 12

/** Places that have no line in the rail. */
const PLACES: Found[] = (
  [
    ['groups', 'Groups', 'jobs that wait for each other'],
    ['schedules', 'Schedules', 'what runs by the clock'],
    ['lanes', 'Lanes', 'what waits, and pause'],
    ['dead', 'Dead letters', 'what failed for good'],
  ] as const
).map(([place, text, about]) => ({ key: `p${place}`, icon: 'jobs', text, about, to: address(place) }))

/** How well a text fits what was typed: all its letters in order, better when together and at the start; null: not at all. */
export const closeness = (text: string, typed: string): number | null => {
  const where = text.toLowerCase()
  const wanted = typed.toLowerCase()
  if (wanted === '') return 0
  const whole = where.indexOf(wanted)
  if (whole >= 0) return whole
  let at = 0
  let gaps = 0
  for (const letter of wanted) {
    const found = where.indexOf(letter, at)
    if (found < 0) return null
    gaps += found - at
    at = found + 1
  }
  return 100 + gaps
}

/** `⌘K`: any report, job or table by a few letters. */
export const Finder = ({ close }: { close: () => void }): JSX.Element => {
  const dialog = useRef<HTMLDialogElement | null>(null)
  const [typed, setTyped] = useState('')
  const [at, setAt] = useState(0)
  const tables = useLoad('finder-tables', listTables)
  useEffect(() => {
    dialog.current?.showModal()
    if (tasks.value === null) void loadTasks()
    if (jobs.value === null) void loadJobs()
  }, [])
  const now = Date.now()
  const all: Found[] = [
    ...(tasks.value ?? []).map(
      (task): Found => ({
        key: `r${task.name}`,
        icon: 'reports',
        text: task.name,
        about: task.description,
        to: address('reports', task.name),
      }),
    ),
    ...(jobs.value ?? []).map(
      (job): Found => ({
        key: `j${job.id}`,
        icon: 'jobs',
        text: `${job.task} ${job.args.map(String).join(' ')}`.trim(),
        about: `${job.alias ?? job.id} · ${ago(job.created_at, now)}`,
        to: address('jobs', job.id),
      }),
    ),
    ...(tables.value ?? []).map(
      (name): Found => ({ key: `t${name}`, icon: 'tables', text: name, about: 'table', to: address('tables', name) }),
    ),
    ...(typed === '' ? [] : PLACES),
  ]
  const found = all
    .flatMap((one) => {
      const score = closeness(one.text, typed) ?? (closeness(one.about, typed) === null ? null : 200)
      return score === null ? [] : [{ ...one, score }]
    })
    .sort((a, b) => a.score - b.score)
    .slice(0, SHOWN)
  const chosen = Math.min(at, found.length - 1)
  const take = (one: Found | undefined): void => {
    if (one === undefined) return
    close()
    go(one.to)
  }
  return (
    <dialog class="finder" ref={dialog} onClose={close} aria-label="Find a report, job or table" data-hook="finder">
      <label class="search">
        <Icon name="search" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls="finder-list"
          aria-activedescendant={found[chosen] === undefined ? undefined : `found-${chosen}`}
          aria-label="Find a report, job or table"
          placeholder="Find a report, job or table"
          autocomplete="off"
          spellcheck={false}
          value={typed}
          onInput={(event) => {
            setTyped(event.currentTarget.value)
            setAt(0)
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown') setAt(Math.min(found.length - 1, chosen + 1))
            else if (event.key === 'ArrowUp') setAt(Math.max(0, chosen - 1))
            else if (event.key === 'Enter') take(found[chosen])
            else return
            event.preventDefault()
          }}
        />
      </label>
      <div id="finder-list" role="listbox" aria-label="Found" class="finder-list">
        {found.map((one, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys go to the input, which names this option as active
          // biome-ignore lint/a11y/useFocusableInteractive: see above
          <div
            key={one.key}
            id={`found-${index}`}
            role="option"
            aria-selected={index === chosen}
            class={index === chosen ? 'found chosen' : 'found'}
            onClick={() => take(one)}
          >
            <Icon name={one.icon} />
            <span class="found-text">{one.text}</span>
            <span class="quiet found-about">{one.about}</span>
          </div>
        ))}
      </div>
      {found.length === 0 ? <p class="quiet pad">Nothing is called so.</p> : null}
    </dialog>
  )
}
