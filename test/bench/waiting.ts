import { join } from 'node:path'
import type { JobId } from '../../edge/contract/ids.ts'
import { commit, type LedgerContext } from '../../edge/ledger/context.ts'
import { complete } from '../../edge/ledger/finish.ts'
import { completion, HOLDER, nodeTask, request, submission } from '../../edge/ledger/fixture.ts'
import { accept, offer } from '../../edge/ledger/leases.ts'
import { submit } from '../../edge/ledger/submit.ts'
import { count, type Figure, quantile } from './figures.ts'
import { fine, type Ledger, ledgerAt } from './ledger.ts'

const WAITING = 10_000
const TURNS = 2_000
const AIM = 1.5

const takeOne = ({ context }: Ledger, turn: number): void => {
  const taken = commit(context, (inner) => submit(inner, submission({ args: [turn], priority: turn % 7 }), 0))
  if (!taken.ok) throw new Error(taken.detail)
}

/** The first job of the lane is offered and begins. */
const leaseOne = ({ context }: Ledger): { job: JobId; attempt: number } => {
  const [first] = commit(context, (inner) => offer(inner, request(HOLDER, 1, { daily: nodeTask('a') }))).offers
  if (!first) throw new Error('nothing waits')
  commit(context, (inner) => accept(inner, HOLDER, [{ job: first.job, attempt: first.attempt, start: true }]))
  return { job: first.job, attempt: first.attempt }
}

/** Ten thousand jobs wait in one lane: submits and leases, beside a ledger in which nothing but the job itself waits. */
export const measureWaiting = (folder: string, tenant: LedgerContext['tenant']): Figure[] => {
  const ledgers = [ledgerAt(join(folder, 'empty'), tenant), ledgerAt(join(folder, 'full'), tenant)]
  const taken = ledgers.map(() => ({ submit: [] as number[], lease: [] as number[] }))
  try {
    for (let turn = 0; turn < WAITING; turn++) if (ledgers[1]) takeOne(ledgers[1], turn)
    // Both in turn, so that whatever else the machine does strikes both alike; what was leased ends, so as many wait each time.
    for (let turn = 0; turn < TURNS; turn++)
      for (const [index, ledger] of ledgers.entries()) {
        const from = performance.now()
        takeOne(ledger, turn)
        const between = performance.now()
        const { job, attempt } = leaseOne(ledger)
        const to = performance.now()
        taken[index]?.submit.push(between - from)
        taken[index]?.lease.push(to - between)
        commit(ledger.context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
      }
  } finally {
    for (const ledger of ledgers) ledger.close()
  }
  return (['submit', 'lease'] as const).map((name) => {
    const [few, many] = taken.map((one) => [quantile(one[name], 0.5), quantile(one[name], 0.99)])
    const both = (values: readonly number[] | undefined): string => (values ?? []).map(fine).join(' / ')
    return {
      what: `${name} where ${count(WAITING)} jobs wait in the lane, p50 / p99`,
      measured: `${both(many)} ms`,
      aim: `≤ ${AIM} ×`,
      beside: `an empty lane: ${both(few)} ms`,
      good: (many?.[1] ?? Number.NaN) <= AIM * (few?.[1] ?? 0),
    }
  })
}
