import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Queue } from '../../client/wire.ts'
import { count, plural } from '../format.ts'
import { Icon } from '../icons.tsx'
import { announce } from '../parts/announce.tsx'
import { useListed } from '../parts/listed.ts'
import { ErrorNotice, Notice, Skeleton } from '../parts/notice.tsx'
import { TableFrame } from '../parts/table-frame.tsx'
import { WorkHead } from '../parts/work-tabs.tsx'
import { client } from '../session.ts'

type Settings = Pick<Queue, 'priority' | 'concurrency' | 'paused' | 'weight' | 'reserve'>

const settingsOf = ({ priority, concurrency, paused, weight, reserve }: Queue): Settings => ({
  priority,
  concurrency,
  paused,
  weight,
  reserve,
})

const FIELDS = [
  { name: 'priority', label: 'Priority', about: 'Among your lanes a higher one goes first: −100 to 100.', least: -100, most: 100 },
  { name: 'concurrency', label: 'At once', about: 'Jobs that nodes hold at once, 1 to 10,000; empty: no limit.', least: 1, most: 10_000 },
  { name: 'weight', label: 'Weight', about: 'Its share among lanes of the same priority: 1 to 100.', least: 1, most: 100 },
  { name: 'reserve', label: 'Reserve', about: 'Slots that other lanes leave free for it: 0 to 1,000.', least: 0, most: 1_000 },
] as const

const readWhole = (text: string, least: number, most: number): number | null => {
  const value = /^[+−-]?\d+$/.test(text.trim()) ? Number(text.trim().replace('−', '-')) : Number.NaN
  return value >= least && value <= most ? value : null
}

/** All settings of a lane but its pause, which has a button of its own. */
const Edit = ({
  queue,
  save,
  close,
}: {
  queue: Queue
  save: (settings: Settings) => Promise<string | null>
  close: () => void
}): JSX.Element => {
  const dialog = useRef<HTMLDialogElement | null>(null)
  const [texts, setTexts] = useState<Record<string, string>>(() =>
    Object.fromEntries(FIELDS.map(({ name }) => [name, queue[name] === null ? '' : String(queue[name])])),
  )
  const [tried, setTried] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  useEffect(() => dialog.current?.showModal(), [])
  const valueFor = (name: string, least: number, most: number): { ok: boolean; value: number | null } => {
    const text = texts[name] ?? ''
    if (name === 'concurrency' && text.trim() === '') return { ok: true, value: null }
    const value = readWhole(text, least, most)
    return { ok: value !== null, value }
  }
  const submit = async (): Promise<void> => {
    setTried(true)
    const settings: Settings = settingsOf(queue)
    for (const { name, least, most } of FIELDS) {
      const { ok, value } = valueFor(name, least, most)
      if (!ok) return
      if (name === 'concurrency') settings.concurrency = value
      else if (value !== null) settings[name] = value
    }
    const problem = await save(settings)
    if (problem === null) dialog.current?.close()
    else setFailure(problem)
  }
  return (
    <dialog class="ask" ref={dialog} onClose={close} aria-labelledby="lane-title" data-hook="lane-form">
      <form
        class="report-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        <h2 id="lane-title">Lane {queue.name}</h2>
        {FIELDS.map(({ name, label, about, least, most }) => {
          const wrong = tried && !valueFor(name, least, most).ok
          return (
            <div class="field" key={name}>
              <label for={`lane-${name}`}>{label}</label>
              <input
                id={`lane-${name}`}
                name={name}
                inputMode="numeric"
                autocomplete="off"
                class="right"
                value={texts[name] ?? ''}
                aria-describedby={`about-lane-${name}`}
                aria-invalid={wrong}
                onInput={(event) => setTexts({ ...texts, [name]: event.currentTarget.value })}
              />
              <span id={`about-lane-${name}`} class={wrong ? 'problem' : 'quiet'}>
                {about}
              </span>
            </div>
          )
        })}
        {failure === null ? null : (
          <p class="problem" role="alert">
            {failure}
          </p>
        )}
        <div class="ask-foot">
          <button type="submit" class="button primary" data-hook="save-lane">
            Save
          </button>
          <button type="button" class="button" onClick={() => dialog.current?.close()}>
            Leave it
          </button>
        </div>
      </form>
    </dialog>
  )
}

/** How deep a lane is beside the deepest: by the root, so that ten are seen next to ten thousand. */
const Depth = ({ waiting, deepest }: { waiting: number; deepest: number }): JSX.Element => (
  <span class="depth" aria-hidden="true">
    <span style={{ width: `${deepest === 0 ? 0 : Math.max(waiting === 0 ? 0 : 2, Math.sqrt(waiting / deepest) * 100)}%` }} />
  </span>
)

const Row = ({
  queue,
  deepest,
  edit,
  pause,
  failure,
}: {
  queue: Queue
  deepest: number
  edit: () => void
  pause: () => void
  failure: string | null
}): JSX.Element => (
  <tr data-lane={queue.name} data-paused={queue.paused}>
    <th scope="row">
      {queue.name}
      {queue.paused ? (
        <span class="tag tag-paused">
          <Icon name="pause" /> paused
        </span>
      ) : null}
      {failure === null ? null : (
        <span class="problem lane-failure" role="alert">
          {failure}
        </span>
      )}
    </th>
    <td class="right">
      <span class="depth-cell">
        <Depth waiting={queue.waiting} deepest={deepest} /> <span data-hook="waiting">{count(queue.waiting)}</span>
      </span>
    </td>
    <td class="right">
      {count(queue.held)}
      <span class="quiet">{queue.concurrency === null ? '' : ` of ${count(queue.concurrency)}`}</span>
    </td>
    <td class="right narrow-off">{String(queue.priority).replace('-', '−')}</td>
    <td class="right narrow-off">{queue.weight}</td>
    <td class="right narrow-off">{queue.reserve}</td>
    <td class="right lane-act">
      <button type="button" class="button flat" onClick={edit} data-hook="edit-lane">
        Edit <span class="unseen">{queue.name}</span>
      </button>
      <button type="button" class="button" onClick={pause} data-hook="pause-lane">
        <Icon name={queue.paused ? 'run' : 'pause'} /> {queue.paused ? 'Resume' : 'Pause'} <span class="unseen">{queue.name}</span>
      </button>
    </td>
  </tr>
)

export const Lanes = (): JSX.Element => {
  const list = useListed(
    'lanes',
    (options) => client.queues.list(options),
    (queue) => queue.name,
    () => true,
  )
  const [edited, setEdited] = useState<Queue | null>(null)
  const [failures, setFailures] = useState<ReadonlyMap<string, string>>(new Map())
  const deepest = Math.max(0, ...(list.items ?? []).map((queue) => queue.waiting))
  const save = async (queue: Queue, settings: Settings): Promise<string | null> => {
    try {
      list.put(await client.queues.set(queue.name, settings))
      return null
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  const pause = async (queue: Queue): Promise<void> => {
    const paused = !queue.paused
    const problem = await save(queue, { ...settingsOf(queue), paused })
    const others = [...failures].filter(([name]) => name !== queue.name)
    setFailures(new Map(problem === null ? others : [...others, [queue.name, problem]]))
    if (problem === null) announce(paused ? `${queue.name} is paused: what runs goes on, nothing new begins.` : `${queue.name} goes on.`)
  }
  return (
    <section class="place" aria-labelledby="lanes-title">
      <WorkHead
        here="lanes"
        title="Lanes"
        about={
          list.items === null
            ? null
            : `${plural(
                list.items.reduce((sum, queue) => sum + queue.waiting, 0),
                'job',
              )} waiting`
        }
      />
      {list.error !== null && list.items === null ? <ErrorNotice error={list.error} what="The lanes" retry={list.reload} /> : null}
      {list.error !== null && list.items !== null ? <p class="stale-note">The server does not answer. This list may be old.</p> : null}
      {list.items === null && list.error === null ? <Skeleton lines={4} label="Loading lanes" /> : null}
      {list.items?.length === 0 ? (
        <Notice kind="empty" title="There are no lanes yet.">
          A lane comes into being with the first job that is submitted to it.
        </Notice>
      ) : null}
      {list.items === null || list.items.length === 0 ? null : (
        <TableFrame label="Lanes">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Lane</th>
                <th scope="col" class="right">
                  Waiting
                </th>
                <th scope="col" class="right">
                  Held
                </th>
                <th scope="col" class="right narrow-off">
                  Priority
                </th>
                <th scope="col" class="right narrow-off">
                  Weight
                </th>
                <th scope="col" class="right narrow-off">
                  Reserve
                </th>
                <th scope="col">
                  <span class="unseen">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((queue) => (
                <Row
                  key={queue.name}
                  queue={queue}
                  deepest={deepest}
                  edit={() => setEdited(queue)}
                  pause={() => void pause(queue)}
                  failure={failures.get(queue.name) ?? null}
                />
              ))}
            </tbody>
          </table>
          {list.more === null ? null : (
            <button type="button" class="button" onClick={list.more}>
              Show more lanes
            </button>
          )}
        </TableFrame>
      )}
      {edited === null ? null : <Edit queue={edited} save={(settings) => save(edited, settings)} close={() => setEdited(null)} />}
    </section>
  )
}
