import type { Http } from './http.ts'
import { type ListOptions, listQuery, posted, withSignal } from './requests.ts'
import { isPage, isQueue, type Page, type Queue, type QueueSubmit } from './wire.ts'

export interface Queues {
  list(options?: ListOptions): Promise<Page<Queue>>
  /** Sets all of a queue: what is absent gets its default. */
  set(name: string, settings: QueueSubmit): Promise<Queue>
}

export const queuesOf = (http: Http): Queues => ({
  list: (options = {}) => http.json(`/v1/queues${listQuery({ ...options })}`, isPage(isQueue), withSignal(options.signal)),
  set: (name, settings) => http.json(`/v1/queues/${encodeURIComponent(name)}`, isQueue, { ...posted(settings), method: 'PUT' }),
})
