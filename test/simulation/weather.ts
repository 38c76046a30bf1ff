import type { Chance } from './chance.ts'

/** Every `fault(env, '…')` of the edge. A history may stop the whole process at some of them. */
export const FAULT_POINTS = [
  'ledger.submitted',
  'ledger.offered',
  'ledger.accepted',
  'ledger.completed',
  'ledger.failed',
  'ledger.published',
  'ledger.handing-over',
  'ledger.page-announced',
  'ledger.page-written',
  'ledger.page-cut',
  'pool.ready',
  'table.accepted',
  'table.intent-written',
  'table.data-put',
  'table.manifest-put',
  'table.list-put',
  'table.metadata-put',
  'table.pointer-moved',
  'table.settled',
  'table.reported',
] as const
export type FaultPoint = (typeof FAULT_POINTS)[number]

/** How bad a history is. Probabilities are per message, per request of the bucket, or per incident. */
export interface Weather {
  /** Length of the stormy phase, virtual milliseconds. */
  storm: number
  /** A call between objects is lost: half of them before, half after it has worked. The caller gets an error. */
  lost: number
  /** A call is carried out twice. */
  doubled: number
  /** A message is late by up to `lateMs`, so that later ones overtake it. */
  late: number
  lateMs: number
  /** A request of the bucket fails, before or after it has worked. */
  bucketFails: number
  /** A node that ends a run also claims to have completed some attempt, which may be another's, over or never given. */
  lies: number
  /** Incidents during the storm. */
  socketBreaks: number
  nodeCrashes: number
  edgeCrashes: number
  objectResets: number
  drains: number
  clockJumps: number
  /** Where, and at the how-manieth passage, the edge's process is stopped. */
  faults: { point: FaultPoint; passage: number }[]
  /** Whether the minute's sweep runs. */
  cron: boolean
  /** Whether what passes between objects is copied, as RPC does. */
  copies: boolean
  /** Whether manifests are really encoded. */
  encodes: boolean
}

export const calm = (): Weather => ({
  storm: 0,
  lost: 0,
  doubled: 0,
  late: 0,
  lateMs: 0,
  bucketFails: 0,
  lies: 0,
  socketBreaks: 0,
  nodeCrashes: 0,
  edgeCrashes: 0,
  objectResets: 0,
  drains: 0,
  clockJumps: 0,
  faults: [],
  cron: true,
  copies: false,
  encodes: false,
})

/** One history in eight is fair, the others have a few kinds of trouble each: all at once would hide what each can do. */
export const weatherOf = (chance: Chance): Weather => {
  const weather: Weather = {
    ...calm(),
    storm: chance.between(2, 40) * 1000,
    cron: chance.happens(0.8),
    copies: chance.happens(0.1),
    encodes: chance.happens(0.1),
  }
  if (chance.happens(0.125)) return weather
  const some = (probability: number, most: number): number => (chance.happens(probability) ? chance.between(1, most) : 0)
  const share = (probability: number, most: number): number => (chance.happens(probability) ? chance.next() * most : 0)
  weather.lost = share(0.4, 0.15)
  weather.doubled = share(0.3, 0.15)
  weather.late = share(0.5, 0.2)
  weather.lateMs = chance.pick([50, 500, 3_000, 12_000])
  weather.bucketFails = share(0.3, 0.2)
  weather.lies = share(0.3, 0.8)
  weather.socketBreaks = some(0.5, 4)
  weather.nodeCrashes = some(0.4, 3)
  weather.edgeCrashes = some(0.35, 3)
  weather.objectResets = some(0.25, 3)
  weather.drains = some(0.25, 2)
  weather.clockJumps = some(0.15, 2)
  for (let left = some(0.5, 3); left > 0; left--) weather.faults.push({ point: chance.pick(FAULT_POINTS), passage: chance.between(1, 4) })
  return weather
}
