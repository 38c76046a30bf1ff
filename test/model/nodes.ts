import { QueueName } from '../../edge/contract/ids.ts'
import { cancelAnswered } from '../../edge/ledger/cancel.ts'
import { complete, fail } from '../../edge/ledger/finish.ts'
import { completion, POOL } from '../../edge/ledger/fixture.ts'
import { accept, handBack, offer, resumeSession, start } from '../../edge/ledger/leases.ts'
import { isHeld, type ModelJob, type Verdict } from './model.ts'
import type { Happening } from './operations.ts'
import { HASHES, LANES, type Lease, type Scene, SIGNATURES } from './scene.ts'

const OFFER_SECONDS = 5

export const give = (scene: Scene, op: Extract<Happening, { do: 'offer' }>): void => {
  const queue = LANES[op.lane % LANES.length] ?? QueueName.parse('default')
  const ref = `${POOL}/${queue}`
  const holder = scene.holder(op.holder)
  const task = { hash: HASHES[op.knows] ?? '', signature: SIGNATURES[op.knows] ?? '', since: op.fresh ? scene.at + 1 : 0 }
  const seq = scene.known.get(ref)
  const answer = scene.commit((inner) =>
    offer(inner, { ...holder, pool: POOL, queue, tasks: { daily: task }, want: op.want, offer_seconds: OFFER_SECONDS, seq }),
  )
  if (answer === null) return
  const suits = (job: ModelJob): boolean => job.signature === 0 || job.signature === op.knows
  const next = scene.model.nextOf(queue, op.want, scene.open(queue), suits)
  const expected: ModelJob[] = []
  scene.foresee(() => {
    // The task was redefined since: it may fail as soon as somebody looks at it.
    if (op.fresh)
      for (const job of scene.model.all())
        if (job.state === 'waiting' && job.lane === queue && !suits(job) && scene.row(job.id).error_code === 'task_changed')
          scene.model.ends(job, 'failed', scene.at)
    // Of those that share an execution the first takes the others along.
    for (const job of next) {
      if (job.state !== 'waiting') continue
      scene.model.offered(job, holder.session, scene.at + OFFER_SECONDS * 1_000)
      expected.push(job)
    }
  })
  const told = answer.offers.map(({ job, attempt }) => `${job} ${attempt}`).join()
  const should = expected.map(({ id, attempt }) => `${id} ${attempt}`).join()
  if (told !== should) throw new Error(`${queue} should offer [${should}], and offers [${told}]`)
  if (answer.drained !== null && (seq ?? 0) <= answer.drained) scene.known.delete(ref)
  for (const { job, attempt } of answer.offers) scene.leases.push({ job, attempt, holder: op.holder })
  if (op.next === 'nothing' || answer.offers.length === 0) return
  const items = answer.offers.map(({ job, attempt }) => ({ job, attempt, start: op.next === 'begin' }))
  verdicts(
    scene,
    items.map(({ job }) => job),
    scene.commit((inner) => accept(inner, holder, items)),
    (job, index) => scene.model.accept(job, items[index]?.attempt ?? 0, holder.session, op.next === 'begin', scene.at),
  )
}

const verdicts = (
  scene: Scene,
  jobs: readonly string[],
  told: readonly Verdict[] | null,
  expected: (job: ModelJob, index: number) => Verdict,
): void => {
  if (told === null) return
  scene.foresee(() => {
    jobs.forEach((id, index) => {
      const job = scene.model.get(id)
      const before = job.state
      const should = expected(job, index)
      if (!job.loose && told[index] !== should)
        throw new Error(`I2: of ${id} (${before}) a node should hear ${should}, and hears ${told[index]}`)
    })
  })
}

const isCurrent = (scene: Scene, { job, attempt }: Lease): boolean => {
  const found = scene.model.get(job)
  return found.attempt === attempt && isHeld(found)
}

export const say = (scene: Scene, op: Extract<Happening, { do: 'say' }>): void => {
  const current = op.late ? [] : scene.leases.filter((lease) => isCurrent(scene, lease))
  const lease = scene.newest(current.length > 0 ? current : scene.leases, op.lease)
  if (!lease) return
  const { job, attempt } = lease
  const holder = scene.holder(op.as ?? lease.holder)
  const { session } = holder
  const { model } = scene
  const now = scene.at
  const heard = (): [readonly Verdict[] | null, (found: ModelJob) => Verdict] => {
    switch (op.what) {
      case 'accept':
      case 'begin': {
        const begins = op.what === 'begin'
        const told = scene.commit((inner) => accept(inner, holder, [{ job, attempt, start: begins }]))
        return [told, (found) => model.accept(found, attempt, session, begins, now)]
      }
      case 'start': {
        const told = scene.commit((inner) => start(inner, holder, [{ job, attempt }]))
        return [told, (found) => model.start(found, attempt, session, now)]
      }
      case 'complete': {
        const told = scene.commit((inner) => complete(inner, holder, [completion(job, attempt)]))
        return [told, (found) => model.complete(found, attempt, session, now)]
      }
      case 'fail': {
        const failure = { class: op.class, code: 'broken', message: 'It broke.' }
        const told = scene.commit((inner) => fail(inner, holder, [{ job, attempt, failure }]))
        return [told, (found) => model.fail(found, attempt, session, op.class, now)]
      }
      case 'hand_back': {
        const told = scene.commit((inner) => handBack(inner, holder, [{ job, attempt, reason: 'drain' }]))
        return [told, (found) => model.handBack(found, attempt, session, now)]
      }
      case 'stopped': {
        const told = scene.commit((inner) => cancelAnswered(inner, holder, { job, attempt, outcome: 'confirmed', reason: null }))
        return [told && [told], (found) => model.stopped(found, attempt, session, now)]
      }
    }
  }
  verdicts(scene, [job], ...heard())
  scene.backsOff(job)
}

export const comeBack = (scene: Scene, op: Extract<Happening, { do: 'resume' }>): void => {
  const holder = scene.holder(op.holder)
  const mine = scene.leases.filter((lease) => scene.holder(lease.holder).session === holder.session)
  const claimed = mine.filter((_, index) => ((op.keeps >> (index % 8)) & 1) === 1)
  const runs = (lease: Lease): boolean => ((op.runs >> (mine.indexOf(lease) % 8)) & 1) === 1
  const holding = claimed.map((lease) => ({ tenant: scene.context.tenant, job: lease.job, attempt: lease.attempt, running: runs(lease) }))
  if (scene.commit((inner) => resumeSession(inner, holder, holding)) === null) return
  scene.foresee(() => {
    const current = claimed.filter(({ job, attempt }) => scene.model.get(job).attempt === attempt)
    scene.model.resume(holder.session, new Map(current.map((lease) => [lease.job, runs(lease)])), scene.at)
  })
}
