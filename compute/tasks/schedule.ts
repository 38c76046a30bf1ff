import { isTimeZone, readCron } from '../../edge/contract/cron.ts'
import { MissedPolicy, OverlapPolicy } from '../../edge/contract/schedules.ts'
import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import { quote } from './problem.ts'
import type { Read } from './values.ts'
import { readChoice } from './values.ts'

export type TaskSchedule = NonNullable<AnnouncedTask['schedule']>

const FORM = 'write five fields or @daily, then perhaps a time zone, missed=… and overlap=…: 0 6 * * 1-5 Europe/Berlin missed=latest'

/**
 * `CRON [TZ] [missed=skip|latest|all] [overlap=skip|queue|allow|cancel]`. Without a zone it is UTC; a run that was missed
 * is made up by the latest one, and a run that would overlap is left out.
 */
export const readSchedule = (text: string): Read<TaskSchedule> => {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const times = words.splice(0, words[0]?.startsWith('@') === true ? 1 : 5)
  // What stands where a field should is told as a field that is missing, not as a wrong value of it.
  const early = times.findIndex((word) => word.includes('=') || isTimeZone(word))
  if (early >= 0) return { ok: false, detail: `${quote(times.slice(0, early).join(' '))} has ${early} fields, not five; ${FORM}` }
  const cron = readCron(times.join(' '))
  if (!cron.ok) return cron
  const schedule: TaskSchedule = { cron: cron.text, tz: 'UTC', missed: 'latest', overlap: 'skip' }
  const seen = new Set<string>()
  for (const word of words) {
    const [key = '', value] = word.split('=', 2)
    const what = value === undefined ? 'tz' : key
    if (seen.has(what))
      return { ok: false, detail: `${quote(word)}: ${what === 'tz' ? 'a time zone' : what} stands there already; ${FORM}` }
    seen.add(what)
    if (value === undefined) {
      if (!isTimeZone(word)) return { ok: false, detail: `${quote(word)} is not an IANA time zone such as Europe/Berlin; ${FORM}` }
      schedule.tz = word
    } else if (key === 'missed' || key === 'overlap') {
      const choice: Read<string> = readChoice<string>(value, key === 'missed' ? MissedPolicy.options : OverlapPolicy.options)
      if (!choice.ok) return { ok: false, detail: `${key}: ${choice.detail}` }
      schedule[key] = choice.value
    } else return { ok: false, detail: `${quote(word)} says nothing here; ${FORM}` }
  }
  return { ok: true, value: schedule }
}
