import type { Http } from './http.ts'
import { type ListOptions, listQuery, posted, withSignal } from './requests.ts'
import { isPage, isSchedule, type Page, type Schedule, type ScheduleSubmit } from './wire.ts'

export interface Schedules {
  list(options?: ListOptions & { task?: string }): Promise<Page<Schedule>>
  /** Refused (422 `invalid_schedule`) where the cron line or the time zone cannot be kept. */
  create(body: ScheduleSubmit, options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<Schedule>
  /** From then on it is not due; or is again, without what it has missed. */
  pause(id: string, paused: boolean): Promise<Schedule>
  remove(id: string): Promise<void>
}

export const schedulesOf = (http: Http): Schedules => ({
  list: (options = {}) => http.json(`/v1/schedules${listQuery({ ...options })}`, isPage(isSchedule), withSignal(options.signal)),
  create: (body, options = {}) => http.json('/v1/schedules', isSchedule, posted(body, options)),
  pause: (id, paused) => http.json(`/v1/schedules/${encodeURIComponent(id)}`, isSchedule, { ...posted({ paused }), method: 'PATCH' }),
  remove: async (id) => {
    await http.request(`/v1/schedules/${encodeURIComponent(id)}`, { method: 'DELETE' })
  },
})
