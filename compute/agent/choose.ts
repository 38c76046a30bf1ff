import type { Offer } from '../../edge/contract/node.ts'
import type { Source, SqlTask } from '../engines/engine.ts'
import { candidateSources, findSource } from '../tasks/sources.ts'

/** The sources that may run a job: the one asked for with it, else those its task may run on (DungBeetle's rule). */
export const candidates = (
  wish: Pick<Offer, 'db' | 'engine_hint'>,
  task: Pick<SqlTask, 'db' | 'engine_hint'>,
  configured: readonly Source[],
): Source[] => {
  if (wish.db !== null) return [findSource(wish.db, configured)].filter((source) => source !== null)
  return candidateSources({ db: task.db, engine_hint: wish.engine_hint ?? task.engine_hint }, configured)
}

/** One of them at random that has room; null when all are full. `random` is in [0, 1). */
export const pick = (from: readonly Source[], full: (source: string) => boolean, random: number): Source | null => {
  const free = from.filter((source) => !full(source.name))
  return free[Math.floor(random * free.length)] ?? null
}
