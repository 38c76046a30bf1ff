import { announceMessages } from '../../compute/agent/announce.ts'
import { AgentCore } from '../../compute/agent/core.ts'
import { Requests } from '../../compute/agent/requests.ts'
import { type Effect, keyOf, type Outcome } from '../../compute/agent/words.ts'
import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { NodeFile } from '../../edge/contract/manifests.ts'
import { type Lease, NODE_PROTOCOL_VERSION, type Offer, ToNode } from '../../edge/contract/node.ts'
import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import { fakeStats } from '../../edge/table/fake-results.ts'
import type { EdgeSocket } from './sockets.ts'
import type { World } from './world.ts'

export interface NodeSettings {
  name: string
  slots: number
  queues: string[] | null
  tenants: string[]
  tasks: AnnouncedTask[]
}

/** One run of a query on an engine, as it really was: what I8 is judged by. */
export interface EngineRun extends Lease {
  task: string
  node: string
  from: number
  /** Virtual instant at which nothing of it ran any more; null: still running. */
  to: number | null
}

const AGAIN_MS = 500
const TICK_MS = 1_000
const PAUSE_FIRST_MS = 50
const PAUSE_LAST_MS = 5_000
/** Stands for a file of Parquet: footers are not read in the simulation. */
const PARQUET = new Uint8Array(64).fill(80)
const PARQUET_BASE64 = Buffer.from(PARQUET).toString('base64')

/** A life of the node's process: the real core and requests of the agent, with engines that only take time. */
class Life {
  readonly core: AgentCore
  readonly requests: Requests
  readonly session: string
  readonly running = new Map<string, { stop: AbortController; finish: (outcome: Outcome) => void }>()
  alive = true
  socket: EdgeSocket | null = null
  welcomed = false
  announcing: { first: number; last: number } | null = null
  pause = PAUSE_FIRST_MS
  lies = 0
  /** By task, as the edge has told them. */
  readonly schemas = new Map<string, ResultSchema>()

  constructor(settings: NodeSettings, session: string) {
    this.session = session
    this.core = new AgentCore({
      slots: settings.slots,
      task: (offer) => settings.tasks.find(({ name, hash }) => name === offer.task && hash === offer.task_hash) ?? null,
      maxActive: () => 1_000,
      place: () => 'duckdb',
    })
    this.requests = new Requests(
      () => this.core.nextRe(),
      (text) => {
        if (this.welcomed) this.socket?.client.send(text)
      },
    )
  }
}

/** A compute node that is started, dials in, runs what it is offered, and is killed now and then. */
export class SimulatedNode {
  readonly settings: NodeSettings
  readonly runs: EngineRun[]
  readonly #world: World
  #life: Life | null = null
  #lives = 0

  constructor(world: World, settings: NodeSettings, runs: EngineRun[]) {
    this.#world = world
    this.settings = settings
    this.runs = runs
  }

  /** Connected, welcomed and with its tasks announced. */
  get ready(): boolean {
    return this.#life?.welcomed === true && this.#life.announcing === null && !this.#life.core.draining
  }

  get idle(): boolean {
    return this.#life !== null && Object.keys(this.#life.core.counts()).length === 0
  }

  describe(): string {
    return this.#life === null ? 'down' : `${this.#life.welcomed ? 'up' : 'unwelcome'} ${JSON.stringify(this.#life.core.counts())}`
  }

  start(): void {
    if (this.#life) return
    const life = new Life(this.settings, `session-${this.settings.name}-${String(++this.#lives).padStart(6, '0')}`)
    this.#life = life
    this.#note(`starts as ${life.session}`)
    this.#dial(life)
    this.#tick(life)
  }

  /** kill -9: its engines die with it, its connection breaks, and the edge may learn of it late or only by silence. */
  kill(restartMs: number): void {
    const life = this.#life
    if (!life) return
    this.#note('is killed')
    life.alive = false
    this.#life = null
    life.socket?.breaks(this.#world.chance.happens(0.3) ? null : this.#world.chance.between(1, 8_000), null)
    for (const run of this.runs) if (run.node === this.settings.name) run.to ??= this.#world.schedule.now
    this.#world.schedule.after(restartMs, () => this.start())
  }

  /** The connection breaks; either end may need long to notice. */
  breakSocket(): void {
    const { chance } = this.#world
    const socket = this.#life?.socket
    if (!socket) return
    this.#note('loses its connection')
    socket.breaks(
      chance.happens(0.2) ? chance.between(5_000, 40_000) : chance.between(1, 500),
      chance.between(1, chance.pick([50, 3_000, 30_000])),
    )
  }

  /** A deploy: no new work, what runs goes on for a while, the rest goes back; then the process starts anew. */
  drain(seconds: number, restartMs: number): void {
    const life = this.#life
    if (!life || life.core.draining) return
    this.#note('drains')
    const over = (): void => {
      if (!life.alive) return
      this.#note('has drained')
      life.alive = false
      this.#life = null
      for (const run of this.runs) if (run.node === this.settings.name) run.to ??= this.#world.schedule.now
      life.socket?.client.close()
      this.#world.schedule.after(restartMs, () => this.start())
    }
    this.#idle = over
    this.#perform(life, life.core.drain())
    this.#world.schedule.after(seconds * 1000, () => {
      if (!life.alive) return
      this.#perform(life, life.core.drainOver())
      this.#world.schedule.after(1_500, over)
    })
  }

  #idle: () => void = () => {}

  #note(text: string): void {
    this.#world.note(`${this.settings.name} ${text}`)
  }

  // ---- the connection ----------------------------------------------------------------------------------------------

  #dial(life: Life): void {
    if (!life.alive) return
    const { name, tenants } = this.settings
    const bounds = JSON.stringify({ name, pool: 'main', tenants, tasks: ['*'], expires_at: this.#world.ambient.wallNow() + 86_400_000 })
    void this.#world.connect('LINK', name, 'https://link/', { 'x-scarab-bounds': bounds }).then((socket) => {
      if (!life.alive) {
        socket?.client.close()
        return
      }
      if (!socket) return this.#again(life)
      life.socket = socket
      socket.client.attach({ message: (text) => this.#received(life, socket, text), closed: () => this.#lost(life, socket) })
      const { slots, queues } = this.settings
      const hello = {
        type: 'hello',
        version: NODE_PROTOCOL_VERSION,
        session: life.session,
        name,
        slots,
        queues,
        labels: {},
        engines: ['duckdb'],
      }
      socket.client.send(JSON.stringify({ ...hello, holding: life.core.holding() }))
    })
  }

  #again(life: Life): void {
    this.#world.schedule.after(life.pause, () => this.#dial(life))
    life.pause = Math.min(life.pause * 2, PAUSE_LAST_MS)
  }

  #lost(life: Life, socket: EdgeSocket): void {
    if (life.socket !== socket || !life.alive) return
    life.socket = null
    life.welcomed = false
    life.announcing = null
    this.#perform(life, life.core.lost())
    this.#again(life)
  }

  /** Counts waiting; a node that holds nothing has nothing to count. */
  #tick(life: Life): void {
    this.#world.schedule.after(TICK_MS, () => {
      if (!life.alive) return
      this.#tick(life)
      if (Object.keys(life.core.counts()).length > 0) this.#perform(life, life.core.tick())
    })
  }

  #announce(life: Life): void {
    if (!life.alive || !life.welcomed) return
    const messages = announceMessages(this.settings.tasks, () => life.core.nextRe())
    const [first, last] = [messages.at(0), messages.at(-1)]
    life.announcing = first && last ? { first: first.re, last: last.re } : null
    for (const { text } of messages) life.socket?.client.send(text)
  }

  #received(life: Life, socket: EdgeSocket, text: string): void {
    if (!life.alive || life.socket !== socket) return
    // The form of frames is tested where they are made; here it is looked at now and then.
    const message = this.#world.weather.copies ? ToNode.parse(JSON.parse(text)) : (JSON.parse(text) as ToNode)
    this.#world.detail(() => `${this.settings.name} hears ${text.slice(0, 200)}`)
    switch (message.type) {
      case 'welcome': {
        life.welcomed = true
        life.pause = PAUSE_FIRST_MS
        this.#perform(life, life.core.welcome(message.fenced))
        life.requests.repeat()
        this.#announce(life)
        return
      }
      case 'announced':
        if (message.re !== life.announcing?.last) return
        life.announcing = null
        this.#perform(life, life.core.announced())
        return
      case 'offers':
        this.#perform(life, life.core.offers(message.items))
        return
      case 'ack':
        this.#perform(life, life.core.ack(message))
        return
      case 'cancel':
        this.#perform(life, life.core.cancel(message))
        return
      case 'fence':
        this.#perform(life, life.core.fence(message))
        return
      case 'refused':
        if (life.requests.answer(message)) return
        this.#note(`is refused: ${message.code} ${message.detail}`)
        if (message.re === null) return
        if (life.announcing && message.re >= life.announcing.first && message.re <= life.announcing.last)
          this.#world.schedule.after(AGAIN_MS, () => this.#announce(life))
        else this.#perform(life, life.core.refused(message.re, message.code, message.detail))
        return
      case 'schema':
      case 'granted':
        life.requests.answer(message)
        return
      case 'bye':
        this.#note(`hears bye: ${message.code}`)
        if (!message.retry) {
          // The process ends; its supervisor starts it again.
          this.kill(1_000)
        }
        return
    }
  }

  #perform(life: Life, effects: Effect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'send':
          life.socket?.client.send(effect.text)
          break
        case 'run':
          this.#run(life, effect.offer)
          break
        case 'abort':
          life.running.get(keyOf(effect.lease))?.stop.abort(effect.reason)
          break
        case 'again':
          this.#world.schedule.after(AGAIN_MS, () => {
            if (life.alive) this.#perform(life, life.core.again(effect.re))
          })
          break
        case 'log':
          this.#note(effect.line)
          break
        case 'idle':
          this.#world.schedule.after(1, this.#idle)
          break
      }
    }
  }

  // ---- engines -----------------------------------------------------------------------------------------------------

  #run(life: Life, offer: Offer): void {
    const { schedule, chance } = this.#world
    const { tenant, job, attempt } = offer
    const key = keyOf(offer)
    const run: EngineRun = { task: offer.task, tenant, job, attempt, node: this.settings.name, from: schedule.now, to: null }
    this.runs.push(run)
    const stop = new AbortController()
    let over = false
    const finish = (outcome: Outcome): void => {
      if (over || !life.alive) return
      over = true
      run.to ??= schedule.now
      life.running.delete(key)
      this.#note(`${outcome.kind} ${job} ${attempt}`)
      this.#perform(life, life.core.settled(offer, outcome, schedule.now - run.from))
      if (chance.happens(this.#world.weather.lies)) schedule.after(chance.between(0, 50), () => this.#lie(life))
    }
    life.running.set(key, { stop, finish })
    this.#note(`runs ${job} ${attempt}`)
    stop.signal.addEventListener('abort', () => {
      const stubborn = chance.happens(0.1)
      schedule.after(stubborn ? 30_000 : chance.between(1, 300), () => {
        if (over || !life.alive) return
        if (stop.signal.reason !== 'cancel') return finish({ kind: 'stopped' })
        if (!stubborn) return finish({ kind: 'cancelled', outcome: 'confirmed', reason: 'the query was interrupted' })
        finish({ kind: 'cancelled', outcome: 'not_confirmed', reason: 'the engine did not stop' })
        run.to = null
        schedule.after(chance.between(100, 10_000), () => {
          run.to ??= schedule.now
        })
      })
    })
    void this.#work(life, offer, stop.signal).then(finish, (fault: unknown) => {
      if (stop.signal.aborted) return
      finish({
        kind: 'fail',
        failure: { code: 'internal', message: fault instanceof Error ? fault.message : String(fault), class: 'internal' },
      })
    })
  }

  /** What no honest node says, but a broken one might: the ledger must know better (I1, I2). */
  #lie(life: Life): void {
    const { chance } = this.#world
    const claimed = chance.pick(this.runs)
    const schema = life.schemas.get(claimed.task)
    if (!life.alive || !life.welcomed || !schema) return
    const { tenant, job } = claimed
    const attempt = Math.max(1, claimed.attempt + chance.pick([-1, 0, 0, 0, 1]))
    // As an upload would with a grant that was given for it once.
    this.#world.request('LEDGER', tenant, 'holds', [life.session, job, attempt]).catch(() => undefined)
    const file = { n: 0, bytes: PARQUET.length, sha256: 'b'.repeat(64), rows: 1, run_date: '2026-11-20', split_offsets: [4], stats: [] }
    this.#note(`lies about ${job} ${attempt}`)
    const items = [completion({ tenant, job, attempt }, schema, file, true)]
    life.socket?.client.send(JSON.stringify({ type: 'complete', re: 1_000_000 + life.lies++, items, want: this.settings.slots }))
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.schedule.after(ms, resolve))
  }

  /** What the arguments ask for: `[serial, ms, ending]`. */
  async #work(life: Life, offer: Offer, signal: AbortSignal): Promise<Outcome> {
    const { chance } = this.#world
    const [, ms, ending] = offer.args
    const never = new Promise<never>(() => {})
    const progress = (phase: string, percent: number | null): void => {
      const { tenant, job, attempt } = offer
      if (life.welcomed)
        life.socket?.client.send(JSON.stringify({ type: 'progress', tenant, job, attempt, phase, percent, rows: null, engine: 'duckdb' }))
    }
    progress('planning', null)
    const schema = offer.schema ?? (await life.requests.schema(offer, [{ name: 'n', type: 'long' }], signal))
    life.schemas.set(offer.task, schema)
    await this.#sleep(Number(ms) / 2)
    if (signal.aborted) return never
    progress('executing', 50)
    await this.#sleep(Number(ms) / 2)
    if (signal.aborted) return never
    if (ending === 'sql') return { kind: 'fail', failure: { code: 'sql_error', message: 'no such column', class: 'sql' } }
    if (ending === 'lost' && chance.happens(0.5))
      return { kind: 'fail', failure: { code: 'source_lost', message: 'the source went away', class: 'lost' } }
    const file = {
      n: 0,
      bytes: PARQUET.length,
      sha256: 'b'.repeat(64),
      rows: ending === 'empty' ? 0 : 1,
      run_date: offer.run_date,
      split_offsets: [4],
    }
    const { tenant, job, attempt } = offer
    if (ending === 'large') {
      const [put] = await life.requests.grant(offer, [{ kind: 'data', n: 0, bytes: file.bytes, sha256: file.sha256 }], signal)
      for (;;) {
        if (signal.aborted || !life.alive) return never
        const put1 = put?.headers['x-scarab-grant']
        const answer = await this.#upload(put1 ?? '')
        if (answer === 'done') break
        if (answer === 'fenced') return { kind: 'stopped' }
        await this.#sleep(200)
      }
    }
    return {
      kind: 'complete',
      item: JSON.stringify(
        completion({ tenant, job, attempt }, schema, { ...file, stats: fakeStats(schema, file.rows) }, ending !== 'large'),
      ),
    }
  }

  /** The Worker's route for a node's objects (edge/http/nodes.ts): the grant, the lease, then the write-once put. */
  async #upload(grant: string): Promise<'done' | 'fenced' | 'again'> {
    const world = this.#world
    const { key, tenant, job, attempt, session } = JSON.parse(grant) as Record<string, string>
    try {
      if (!(await world.request('LEDGER', tenant ?? '', 'holds', [session, job, attempt]))) return 'fenced'
      const bucket = world.bucket.binding(() => true) as { put(key: string, bytes: Uint8Array, options: object): Promise<unknown> }
      await bucket.put(key ?? '', PARQUET, { onlyIf: { etagDoesNotMatch: '*' } })
      return 'done'
    } catch {
      return 'again'
    }
  }
}

const completion = (lease: Lease, schema: ResultSchema, file: NodeFile, inline: boolean): object => ({
  ...lease,
  manifest: {
    schema,
    rows: file.rows,
    files: [file],
    first_rows: [],
    engine: { name: 'duckdb', version: null, query_id: null },
    source: null,
    seconds: { planning: 0, executing: 0, uploading: 0 },
  },
  inline: inline ? { parquet_base64: PARQUET_BASE64, rows: file.rows === 0 ? [] : [['7']] } : null,
  uploads: [],
})
