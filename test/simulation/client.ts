import type { JobEvent } from '../../edge/contract/events.ts'
import type { GroupAnswer } from '../../edge/ledger/groups/desk.ts'
import type { GroupSubmission } from '../../edge/ledger/groups/submit.ts'
import type { Followed } from '../../edge/ledger/streams.ts'
import type { Submission, Submitted } from '../../edge/ledger/submit.ts'
import type { EdgeSocket } from './sockets.ts'
import type { World } from './world.ts'

/** What a client was told: the edge is bound by it (I3). */
export interface Promised {
  tenant: string
  job: string
  what: 'taken' | 'cancelled' | 'asked' | 'removed'
}

export interface Submitting {
  tenant: string
  serial: number
  wanted: Submission
  /** Ids that answers named. */
  jobs: Set<string>
  tries: number
}

export interface Reading {
  tenant: string
  job: string
  /** In the order of their arrival, over all connections. */
  events: JobEvent[]
  faults: string[]
  ended: boolean
}

/** What all clients of one history did and saw. */
export class Clients {
  readonly promised: Promised[] = []
  readonly submitted: Submitting[] = []
  readonly readings: Reading[] = []
  /** Requests that a client still repeats. */
  open = 0
  /** The history is over: readers stop to wait for more. */
  over = false
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Submits. With a key it repeats until it is answered, as a careful client does; without one it gives up. */
  async submit(tenant: string, serial: number, wanted: Submission): Promise<string | null> {
    const one: Submitting = { tenant, serial, wanted, jobs: new Set(), tries: 0 }
    this.submitted.push(one)
    this.open++
    try {
      for (;;) {
        one.tries++
        const wait = this.#world.chance.happens(0.2) ? 2_000 : 0
        const answer = (await this.#ask(tenant, 'submit', [wanted, wait])) as Submitted | null
        // Some clients send their request twice, whether or not they had an answer.
        const twice = wanted.idempotency !== null && one.tries === 1 && this.#world.chance.happens(0.2)
        if (answer?.ok) {
          one.jobs.add(answer.job.id)
          this.promised.push({ tenant, job: answer.job.id, what: 'taken' })
          if (!twice) return answer.job.id
        } else if (answer !== null) return null
        else if (wanted.idempotency === null && wanted.alias === null) return null
        await this.#sleep(this.#world.chance.between(20, 1_000))
      }
    } finally {
      this.open--
    }
  }

  /** Many at once, each with a key: repeated until all are answered. */
  async submitBatch(tenant: string, list: Submission[]): Promise<string[]> {
    const asked: Submitting[] = list.map((wanted) => ({ tenant, serial: 0, wanted, jobs: new Set(), tries: 0 }))
    this.submitted.push(...asked)
    this.open++
    try {
      for (;;) {
        const answers = (await this.#ask(tenant, 'submitBatch', [list])) as Submitted[] | null
        for (const [index, answer] of answers?.entries() ?? []) {
          if (!answer.ok) continue
          asked[index]?.jobs.add(answer.job.id)
          this.promised.push({ tenant, job: answer.job.id, what: 'taken' })
        }
        if (answers) return answers.flatMap((answer) => (answer.ok ? [answer.job.id] : []))
        await this.#sleep(this.#world.chance.between(20, 1_000))
      }
    } finally {
      this.open--
    }
  }

  /** A group, repeated until it is answered; whoever cancels it gives up when nobody answers. */
  async submitGroup(tenant: string, wanted: GroupSubmission, cancelAfter: number | null): Promise<void> {
    this.open++
    try {
      for (;;) {
        const answer = (await this.#ask(tenant, 'submitGroup', [wanted])) as GroupAnswer | null
        if (answer?.ok) {
          const { id } = answer.group
          this.#world.note(`taken group ${id}`)
          if (cancelAfter !== null) this.#world.schedule.after(cancelAfter, () => void this.#ask(tenant, 'group', [id, { do: 'cancel' }]))
        }
        if (answer) return
        await this.#sleep(this.#world.chance.between(20, 1_000))
      }
    } finally {
      this.open--
    }
  }

  async cancel(tenant: string, job: string): Promise<void> {
    const answer = (await this.#ask(tenant, 'cancel', [job, 'not needed any more'])) as { found: string; answer?: string } | null
    if (answer?.answer === 'cancelled' || answer?.answer === 'asked') this.promised.push({ tenant, job, what: answer.answer })
  }

  /** Deletes as soon as the job has ended; gives up when the edge does not answer. */
  async remove(tenant: string, job: string): Promise<void> {
    this.open++
    const pause = this.#world.chance.pick([60, 250, 1_000])
    const until = this.#world.schedule.now + 60_000
    try {
      while (this.#world.schedule.now < until) {
        const answer = (await this.#ask(tenant, 'remove', [job])) as { found: string; removed?: boolean } | null
        if (answer?.removed) this.promised.push({ tenant, job, what: 'removed' })
        if (answer?.removed || answer?.found === 'gone') return
        await this.#sleep(pause)
      }
    } finally {
      this.open--
    }
  }

  /** Follows a job by numbered events; a connection that breaks is resumed after the last number (I9). */
  async read(tenant: string, job: string): Promise<void> {
    const reading: Reading = { tenant, job, events: [], faults: [], ended: false }
    this.readings.push(reading)
    while (!reading.ended && !this.over) {
      // As the Worker does: what there is, then a socket for what comes.
      const known = (await this.#ask(tenant, 'follow', [
        { of: 'job', id: job, after: reading.events.at(-1)?.seq ?? 0, until: 'published', wait_ms: 0 },
      ])) as Followed | null
      if (known?.found === 'yes') {
        if (known.reset) reading.faults.push(`was reset to ${known.reset.oldest}`)
        for (const event of known.items) this.#note(reading, event as JobEvent)
        if (known.next === null) reading.ended = true
      }
      if (reading.ended) return
      const after = reading.events.at(-1)?.seq ?? 0
      const socket = await this.#world.connect('LEDGER', tenant, `https://ledger/watch/${job}?after=${after}`, {})
      if (socket) await this.#follow(socket, reading)
      await this.#sleep(this.#world.chance.between(20, 500))
    }
  }

  #note(reading: Reading, event: JobEvent): void {
    const expected = (reading.events.at(-1)?.seq ?? 0) + 1
    // A socket may repeat the backlog's end: registration and backlog are one turn, so it does not.
    if (event.seq !== expected) reading.faults.push(`expected event ${expected}, got ${event.seq}`)
    reading.events.push(event)
    if (event.publication === 'published' || event.publication === 'rejected' || event.state === 'failed' || event.state === 'cancelled')
      reading.ended = true
  }

  #follow(socket: EdgeSocket, reading: Reading): Promise<void> {
    return new Promise((resolve) => {
      socket.client.attach({
        message: (text) => {
          const message = JSON.parse(text) as { event?: JobEvent }
          if (!message.event) return
          this.#note(reading, message.event)
          if (!reading.ended) return
          socket.client.close()
          resolve()
        },
        closed: resolve,
      })
      // Readers come and go.
      if (this.#world.chance.happens(0.3))
        this.#world.schedule.after(this.#world.chance.between(50, 5_000), () => {
          socket.client.close()
          resolve()
        })
    })
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.schedule.after(ms, resolve))
  }

  async #ask(tenant: string, method: string, args: unknown[]): Promise<unknown> {
    try {
      return await this.#world.request('LEDGER', tenant, method, args)
    } catch {
      return null
    }
  }
}
