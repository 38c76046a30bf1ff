import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Schedule, ScheduleSubmit, TaskInfo } from '../../client/wire.ts'
import { argumentsOf, beginning, fieldsOf, problemOf } from '../arguments.ts'
import { exactTime } from '../format.ts'
import { Icon } from '../icons.tsx'
import { loadTasks, tasks } from '../library.ts'
import { tell } from '../parts/announce.tsx'
import { ArgumentFields, showFirstProblem } from '../parts/argument-fields.tsx'
import { address, go } from '../route.ts'
import { nextTimes } from '../schedules/times.ts'
import { inZone, localZone, MISSED_WORDS, OVERLAP_WORDS } from '../schedules/words.ts'
import { client } from '../session.ts'

const SHOWN_TIMES = 3

/** The next runs that a line means, in its own zone and here; or what is wrong with it. */
const Preview = ({ cron, tz }: { cron: string; tz: string }): JSX.Element => {
  const next = nextTimes(cron, tz, new Date(), SHOWN_TIMES)
  const elsewhere = tz !== localZone()
  return (
    <div class="next-times" id="about-cron" aria-live="polite" data-hook="next-times">
      {next.ok ? (
        <>
          <p class="quiet">Next runs</p>
          <ol>
            {next.times.map((time) => (
              <li key={time.getTime()} title={exactTime(time.toISOString())}>
                {inZone(time, tz)}
                {elsewhere ? <span class="quiet"> · here {inZone(time, localZone())}</span> : null}
              </li>
            ))}
          </ol>
        </>
      ) : (
        <p class="problem">{next.detail}</p>
      )}
    </div>
  )
}

const Choice = <Value extends string>({
  name,
  label,
  words,
  value,
  change,
}: {
  name: string
  label: string
  words: Record<Value, string>
  value: Value
  change: (value: Value) => void
}): JSX.Element => (
  <div class="field">
    <label for={`choice-${name}`}>{label}</label>
    <select
      id={`choice-${name}`}
      name={name}
      value={value}
      onChange={(event) => {
        const chosen = event.currentTarget.value
        for (const one of Object.keys(words) as Value[]) if (one === chosen) change(one)
      }}
    >
      {Object.entries<string>(words).map(([one, text]) => (
        <option key={one} value={one}>
          {text}
        </option>
      ))}
    </select>
  </div>
)

export const ScheduleForm = ({ given, made }: { given: URLSearchParams; made: () => void }): JSX.Element => {
  useEffect(() => {
    if (tasks.value === null) void loadTasks()
  }, [])
  const list = tasks.value ?? []
  const [chosen, setChosen] = useState(given.get('task') ?? '')
  const task = list.find((one) => one.name === chosen) ?? null
  return (
    <div class="report-form">
      <header class="form-head">
        <h2>New schedule</h2>
        <a class="icon-button" href={address('schedules')} aria-label="Close the form">
          <Icon name="close" />
        </a>
      </header>
      <div class="field">
        <label for="schedule-task">Report</label>
        <select id="schedule-task" name="task" value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
          <option value="">Choose a report</option>
          {list.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
      </div>
      {task === null ? null : <TaskSchedule key={task.name} task={task} made={made} />}
    </div>
  )
}

const TaskSchedule = ({ task, made }: { task: TaskInfo; made: () => void }): JSX.Element => {
  const fields = fieldsOf(task)
  const [texts, setTexts] = useState(() => beginning(fields, new URLSearchParams()))
  const [cron, setCron] = useState(task.schedule?.cron ?? '0 6 * * *')
  const [tz, setTz] = useState(task.schedule?.tz ?? localZone())
  const [missed, setMissed] = useState<Schedule['missed']>('latest')
  const [overlap, setOverlap] = useState<Schedule['overlap']>('skip')
  const [tried, setTried] = useState(false)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<string | null>(null)
  const zones = Intl.supportedValuesOf('timeZone')

  const create = async (): Promise<void> => {
    setTried(true)
    if (busy || showFirstProblem(fields.map((field, at) => problemOf(field, texts[at] ?? ''))) || !nextTimes(cron, tz, new Date(), 1).ok)
      return
    setBusy(true)
    setFailure(null)
    const body: ScheduleSubmit = {
      task: task.name,
      cron,
      tz,
      missed,
      overlap,
      ...(fields.length > 0 ? { args: argumentsOf(fields, texts) } : {}),
    }
    try {
      await client.schedules.create(body)
      tell(`${task.name} runs by the clock now.`)
      made()
      go(address('schedules'))
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error))
      setBusy(false)
    }
  }
  return (
    <form
      class="report-form"
      noValidate
      data-hook="schedule-form"
      onSubmit={(event) => {
        event.preventDefault()
        void create()
      }}
    >
      <ArgumentFields fields={fields} texts={texts} tried={tried} change={setTexts} />
      <div class="field">
        <label for="schedule-cron">When</label>
        <input
          id="schedule-cron"
          name="cron"
          class="mono"
          autocomplete="off"
          spellcheck={false}
          value={cron}
          aria-describedby="about-cron"
          onInput={(event) => setCron(event.currentTarget.value)}
        />
        <span class="quiet">Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly.</span>
      </div>
      <div class="field">
        <label for="schedule-tz">Time zone</label>
        <input
          id="schedule-tz"
          name="tz"
          list="zones"
          autocomplete="off"
          spellcheck={false}
          value={tz}
          onInput={(event) => setTz(event.currentTarget.value)}
        />
        <datalist id="zones">
          {['UTC', ...zones].map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
      </div>
      <Preview cron={cron} tz={tz} />
      <Choice name="missed" label="Runs that were missed" words={MISSED_WORDS} value={missed} change={setMissed} />
      <Choice name="overlap" label="When the one before still runs" words={OVERLAP_WORDS} value={overlap} change={setOverlap} />
      {failure === null ? null : (
        <p class="problem" role="alert">
          {failure}
        </p>
      )}
      <div class="form-foot">
        <button type="submit" class="button primary" disabled={busy} data-hook="create-schedule">
          {busy ? 'Saving…' : 'Run it by the clock'}
        </button>
      </div>
    </form>
  )
}
