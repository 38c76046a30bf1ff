import { Alias, QueueName } from '../../edge/contract/ids.ts'
import { retry } from '../../edge/ledger/dead.ts'
import { submission } from '../../edge/ledger/fixture.ts'
import { findJob } from '../../edge/ledger/jobs.ts'
import { isUnwanted } from '../../edge/ledger/remove.ts'
import { countLive, type Submission, submit } from '../../edge/ledger/submit.ts'
import type { ModelJob } from './model.ts'
import type { Ask } from './operations.ts'
import { HASHES, LANES, type Scene, SIGNATURES, store } from './scene.ts'

const DAY_MS = 24 * 3_600_000
/** No row with such arguments stays in memory: whoever needs it reads it anew. */
const LARGE = 'x'.repeat(5_000)

const submissionOf = (scene: Scene, ask: Ask): Submission => {
  return submission({
    args: ask.twin === 2 ? [LARGE] : [ask.twin],
    alias: ask.alias === 0 ? null : Alias.parse(`alias-${ask.alias}`),
    queue: LANES[ask.lane % LANES.length] ?? QueueName.parse('default'),
    priority: ask.priority,
    weight: ask.weight,
    eta: ask.eta === null ? null : scene.at + ask.eta * 1_000,
    ttl_seconds: ask.ttl,
    max_tries: ask.tries,
    retention_seconds: ask.retention,
    reuse_seconds: ask.reuse,
    sameness: ask.twin === 0 ? null : `twin-${ask.twin}`,
    submitted_hash: HASHES[ask.signature] || null,
    signature: SIGNATURES[ask.signature] || null,
    idempotency: ask.key === 0 ? null : { key: `key-${ask.key}`, body: JSON.stringify(ask) },
  })
}

export const take = (scene: Scene, asks: readonly Ask[]): void => {
  const wanted = asks.map((ask) => ({ ask, submission: submissionOf(scene, ask) }))
  const answers = scene.commit((inner) => wanted.map((one) => submit(inner, one.submission, countLive(inner))))
  if (answers === null) return
  scene.foresee(() => {
    wanted.forEach((one, index) => {
      const answer = answers[index]
      const expected = foresee(scene, one.ask, one.submission)
      const told = answer?.ok ? (answer.created ? 'new' : answer.job.id) : answer?.code
      if (told !== (expected ?? 'new')) throw new Error(`a submit should be answered by ${expected ?? 'a new job'}, and was by ${told}`)
      if (!answer?.ok) return
      const { idempotency } = one.submission
      if (answer.created) came(scene, answer.job.id, one.ask, one.submission)
      if (idempotency && !fresh(scene, idempotency.key))
        scene.keys.set(idempotency.key, { body: idempotency.body, job: answer.job.id, at: scene.at })
    })
  })
}

const fresh = (scene: Scene, key: string): { body: string; job: string } | null => {
  const seen = scene.keys.get(key)
  return seen && seen.at > scene.at - DAY_MS ? seen : null
}

/** The job or the code that answers in place of a new job. */
const foresee = (scene: Scene, ask: Ask, wanted: Submission): string | null => {
  const seen = wanted.idempotency && fresh(scene, wanted.idempotency.key)
  if (seen) {
    if (seen.body !== wanted.idempotency?.body) return 'idempotency_mismatch'
    return scene.model.get(seen.job).deleted ? 'gone' : seen.job
  }
  if (wanted.alias === null) return null
  const job = scene.model.all().findLast(({ alias, deleted }) => alias === wanted.alias && !deleted)
  if (!job || job.finished !== null) return null
  const before = scene.asks.get(job.id)
  const part = (of: Ask, at: number | null | undefined): unknown => [
    of.twin,
    of.lane % 2,
    of.priority,
    of.retention,
    of.tries,
    of.ttl,
    of.reuse,
    at,
  ]
  return before && JSON.stringify(part(before.ask, before.submission.eta)) === JSON.stringify(part(ask, wanted.eta))
    ? job.id
    : 'alias_in_use'
}

/** A job that the ledger has just taken. */
const came = (scene: Scene, id: string, ask: Ask, wanted: Submission): ModelJob => {
  const { model } = scene
  const now = scene.at
  const eta = wanted.eta ?? null
  const later = eta !== null && eta > now
  const twin = wanted.sameness ?? null
  const reusable =
    later || twin === null || wanted.reuse_seconds == null
      ? []
      : model
          .all()
          .filter(
            (job) =>
              job.twin === twin &&
              (job.state === 'succeeded' || (job.wrote && model.pointers(job.id).length > 0)) &&
              job.leader === null &&
              job.source === null &&
              !job.deleted &&
              (job.finished ?? 0) >= now - (wanted.reuse_seconds ?? 0) * 1_000 &&
              ['pending', 'published'].includes(scene.invariants.rows.get(job.id)?.publication ?? ''),
          )
  const newest = Math.max(...reusable.map(({ finished }) => finished ?? 0))
  const source = scene.row(id).reused_from
  if (reusable.length > 0 && !reusable.some((job) => job.id === source && job.finished === newest))
    throw new Error(`${id} should be answered by the newest result there is, and is by ${source}`)
  const job: ModelJob = {
    id,
    state: reusable.length > 0 ? 'succeeded' : later ? 'scheduled' : 'waiting',
    attempt: 0,
    tries: 0,
    session: null,
    leader: null,
    source: reusable.length > 0 ? source : null,
    twin,
    cancelling: false,
    begun: null,
    wrote: false,
    lane: wanted.queue,
    priority: wanted.priority ?? 0,
    weight: wanted.weight ?? 1,
    signature: ask.signature,
    most: wanted.max_tries ?? 11,
    created: now,
    finished: reusable.length > 0 ? now : null,
    offerBy: null,
    due: later ? eta : null,
    expires: wanted.ttl_seconds == null ? null : (later ? eta : now) + wanted.ttl_seconds * 1_000,
    expired: false,
    spent: false,
    alias: wanted.alias,
    deleted: false,
    retried: false,
    loose: false,
  }
  scene.asks.set(id, { ask, submission: wanted })
  if (job.state === 'waiting') model.begin(job, eta ?? 0)
  model.jobs.set(id, job)
  return job
}

export const runAgain = (scene: Scene, pick: number): void => {
  const job = scene.newest(
    scene.model.all().filter(({ finished, deleted }) => finished !== null && !deleted),
    pick,
  )
  const asked = job && scene.asks.get(job.id)
  if (!job || !asked) return
  const wanted = { ...asked.submission, eta: null, reuse_seconds: null, idempotency: null }
  const answer = scene.commit((inner) => retry(inner, job.id, wanted, 0))
  if (answer === null) return
  const may = (job.state === 'failed' || job.state === 'cancelled') && !job.retried
  if (answer.found !== 'yes' || answer.ok !== may)
    throw new Error(`${job.id} is ${job.state}: to run it again was answered ${JSON.stringify(answer)}`)
  if (!answer.ok) return
  const taken = scene.model.all().findLast(({ alias, deleted }) => alias !== null && alias === job.alias && !deleted)
  const alias = taken === undefined || taken.finished !== null ? wanted.alias : null
  scene.foresee(() => {
    job.retried = true
    came(scene, answer.job.id, { ...asked.ask, reuse: null }, { ...wanted, alias })
  })
}

/** As the errand does it that follows a publication or a deletion. */
export const purge = (scene: Scene, id: string): void => {
  const row = findJob(scene.context, id)
  if (row && isUnwanted(scene.context, row)) {
    if (scene.model.pointers(id).length > 0 && row.publication !== 'expired')
      throw new Error(`I4: the result of ${id} is deleted while it is read`)
    store.run('DELETE FROM results WHERE job = ?', id)
    scene.model.get(id).wrote = false
  } else if (row && row.finished_at !== null && row.publication !== 'pending')
    store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', id)
  store.run(`DELETE FROM timers WHERE kind = 'purge' AND ref = ?`, id)
}
