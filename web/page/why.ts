import type { Job } from '../client/wire.ts'
import { plural } from './format.ts'

/** How often a failed job was tried, where it was more than once. */
export const triesWords = (job: Job): string =>
  job.tries > 1 ? `It was tried ${plural(job.tries, 'time')}${job.max_tries === undefined ? '' : `, of ${job.max_tries} that it had`}.` : ''

/** What became of a request to cancel, as the job tells it. */
export const cancelWords = (job: Job): string => {
  const engine = job.engine
  if (job.state === 'cancelled' && job.coalesced_with != null && job.started_at === null)
    return 'It shared the execution of another job, which goes on for that one.'
  if (job.state === 'cancelled' && job.started_at === null && engine === null) return 'It had not started.'
  const reason = job.cancel?.reason == null ? '' : ` (${job.cancel.reason})`
  switch (job.cancel?.outcome) {
    case 'confirmed':
      return `${engine ?? 'The engine'} confirmed that the query is dead.`
    case 'not_confirmed':
      return `${engine ?? 'The engine'} did not confirm that the query is dead${reason}; it may still run there.`
    case 'too_late':
      return 'The cancel came too late: it had ended already.'
    case 'sent':
      return `${engine ?? 'The engine'} was told to kill the query, and has not answered yet.`
    case 'requested':
      return 'Its node is told to stop it.'
    default:
      return ''
  }
}
