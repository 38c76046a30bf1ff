import { AsyncLocalStorage } from 'node:async_hooks'
import { CatalogObject } from '../../edge/catalog/object.ts'
import { LedgerObject } from '../../edge/ledger/object.ts'
import { LinkObject } from '../../edge/link/object.ts'
import { PoolObject } from '../../edge/pool/object.ts'
import { TableObject } from '../../edge/table/object.ts'
import type { Ambient } from './ambient.ts'
import { Bucket } from './bucket.ts'
import type { Chance } from './chance.ts'
import { borrow, type Database, giveBack } from './database.ts'
import { DirectoryDouble } from './directory.ts'
import { type Planned, Schedule } from './schedule.ts'
import { EdgeSocket } from './sockets.ts'
import { LEDGER_TRACE } from './trace.ts'
import type { Weather } from './weather.ts'

export type Kind = 'DIRECTORY' | 'LEDGER' | 'POOL' | 'LINK' | 'CATALOG' | 'TABLE'

/** A Durable Object as the platform sees it: methods by name. */
type Methods = Record<string, ((...args: unknown[]) => unknown) | undefined>

/** One life of an object in memory. */
interface Instance {
  object: Methods
  alive: boolean
  /** Handlers and background work that have not ended: while there are any, it is not evicted. */
  busy: number
  gate: Promise<unknown> | null
  /** Callers who are told when it dies. */
  callers: Set<(fault: Error) => void>
  lastUsed: number
}

/** What outlives its object's memory. */
export interface Place {
  kind: Kind
  name: string
  database: Database
  instance: Instance | null
  sockets: Set<EdgeSocket>
  /** Wall clock of the edge; null: none set. */
  alarm: number | null
  alarmPlanned: Planned | null
  alarmRuns: boolean
  alarmFailures: number
}

/** One carried-out call, whether or not its answer arrived: what the checker judges. */
export interface Called {
  kind: Kind
  name: string
  method: string
  args: unknown[]
  /** Virtual milliseconds. */
  at: number
  /** Undefined where the object died before it answered. */
  answer: unknown
}

const CLASSES = { LEDGER: LedgerObject, POOL: PoolObject, LINK: LinkObject, CATALOG: CatalogObject, TABLE: TableObject }
const EPOCH = Date.UTC(2026, 10, 20, 9)
/** workerd evicts an idle object after this long; hibernating sockets stay. */
const IDLE_MS = 10_000
const ALARM_RETRIES = 6

/** Whose code is running: its timers end with it. */
const running = new AsyncLocalStorage<Instance>()

/**
 * The edge's one process: the real object classes over databases that survive, wired by calls that take their time and
 * may be lost, doubled or overtaken. Everything random comes from one seed, everything that waits is in one schedule.
 */
export class World {
  readonly schedule = new Schedule()
  readonly chance: Chance
  readonly bucket: Bucket
  readonly directory = new DirectoryDouble()
  readonly places = new Map<string, Place>()
  readonly log: string[] = []
  readonly called: Called[] = []
  /** Crashes at named points that did happen. */
  readonly struck: string[] = []
  weather: Weather
  /** Wall clock minus virtual time. */
  skew = EPOCH
  /** The process is down until this virtual instant. */
  downUntil = 0
  crashes = 0
  readonly verbose = process.env.SCARAB_LOG === '2'
  #life = 0
  #timers = new Map<number, Planned>()
  #nextTimer = 1
  readonly #passages = new Map<string, number>()
  /** Whoever is told that the edge's process has died. */
  readonly onCrash: (() => void)[] = []

  constructor(chance: Chance, weather: Weather) {
    this.chance = chance
    this.weather = weather
    this.bucket = new Bucket(this.schedule, chance, () => this.weather)
  }

  readonly ambient: Ambient = {
    wallNow: () => Math.floor(this.schedule.now + this.skew),
    after: (ms, run) => {
      const timer = this.#nextTimer++
      const owner = running.getStore()
      if (owner) owner.busy++
      const planned = this.schedule.after(ms, () => {
        this.#timers.delete(timer)
        if (owner) owner.busy--
        if (owner?.alive !== false) run()
      })
      this.#timers.set(timer, planned)
      return timer
    },
    cancel: (timer) => {
      const planned = this.#timers.get(timer)
      if (!planned?.run) return
      planned.run = null
      this.#timers.delete(timer)
      const owner = running.getStore()
      if (owner) owner.busy--
    },
    fill: (bytes) => this.chance.fill(bytes),
    warn: (text) => this.note(`warn ${text}`),
    pair: () => {
      const socket = new EdgeSocket(this.schedule, () => this.latency())
      this.#byServer.set(socket.server, socket)
      this.#byClient.set(socket.client, socket)
      return [socket.client, socket.server]
    },
  }

  note(text: string): void {
    this.log.push(`${Math.floor(this.schedule.now)} ${text}`)
  }

  /** What only somebody who looks for a cause wants to read. */
  detail(text: () => string): void {
    if (this.verbose) this.note(`  ${text()}`)
  }

  latency(): number {
    const late = this.weather.late > 0 && this.chance.happens(this.weather.late)
    return this.chance.between(1, 4) + (late ? this.chance.next() * this.weather.lateMs : 0)
  }

  get down(): boolean {
    return this.schedule.now < this.downUntil
  }

  place(kind: Kind, name: string): Place {
    const key = `${kind} ${name}`
    let place = this.places.get(key)
    if (!place) {
      place = {
        kind,
        name,
        database: borrow(kind),
        instance: null,
        sockets: new Set(),
        alarm: null,
        alarmPlanned: null,
        alarmRuns: false,
        alarmFailures: 0,
      }
      this.places.set(key, place)
    }
    return place
  }

  /** Everything that this history borrowed goes back. */
  end(): void {
    for (const { kind, database } of this.places.values()) giveBack(kind, database)
    this.places.clear()
  }

  // ---- objects -----------------------------------------------------------------------------------------------------

  #wake(place: Place): Instance {
    if (place.instance) return place.instance
    const instance: Instance = {
      object: {},
      alive: true,
      busy: 0,
      gate: null,
      callers: new Set(),
      lastUsed: this.schedule.now,
    }
    place.instance = instance
    if (place.kind === 'DIRECTORY') {
      instance.object = this.directory as unknown as Methods
      return instance
    }
    const Class = CLASSES[place.kind] as unknown as new (state: object, env: object) => Methods
    instance.object = running.run(instance, () => new Class(this.#state(place, instance), this.#env(instance)))
    if (place.kind === 'LEDGER') place.database.once(LEDGER_TRACE)
    return instance
  }

  readonly #byServer = new WeakMap<object, EdgeSocket>()
  readonly #byClient = new WeakMap<object, EdgeSocket>()

  #socketOf(server: object): EdgeSocket {
    const socket = this.#byServer.get(server)
    if (!socket) throw new Error('not a socket of this world')
    return socket
  }

  #state(place: Place, instance: Instance): object {
    const { database } = place
    return {
      id: { name: place.name, toString: () => place.name },
      storage: {
        sql: database.sql,
        transactionSync: <T>(body: () => T): T => database.transactionSync(body),
        setAlarm: (at: number) => {
          if (instance.alive) this.#setAlarm(place, at)
          return Promise.resolve()
        },
        getAlarm: () => Promise.resolve(place.alarm),
      },
      waitUntil: (work: Promise<unknown>) => {
        instance.busy++
        const over = (): void => {
          instance.busy--
        }
        work.then(over, (reason: unknown) => {
          over()
          this.note(`background work of ${place.kind} ${place.name} failed: ${String(reason)}`)
        })
      },
      blockConcurrencyWhile: (work: () => Promise<unknown>) => {
        instance.gate = work().finally(() => {
          instance.gate = null
        })
        return instance.gate
      },
      setWebSocketAutoResponse: () => {},
      getWebSocketAutoResponseTimestamp: (server: object) => {
        const since = this.#socketOf(server).sincePing()
        return since === null ? null : new Date(this.ambient.wallNow() - since)
      },
      acceptWebSocket: (server: object, tags: string[] = []) => {
        const socket = this.#socketOf(server)
        socket.accept(
          {
            message: (from, text) => this.#event(place, 'webSocketMessage', [from.server, text]),
            closed: (from) => {
              place.sockets.delete(from)
              this.#event(place, 'webSocketClose', [from.server, 1006])
            },
          },
          tags,
        )
        place.sockets.add(socket)
      },
      getWebSockets: (tag?: string) =>
        [...place.sockets].filter((socket) => tag === undefined || socket.tags.includes(tag)).map(({ server }) => server),
    }
  }

  #env(instance: Instance): object {
    const namespace = (kind: Kind): object => ({
      idFromName: (name: string) => name,
      get: (name: string) =>
        new Proxy(
          {},
          {
            get:
              (_target, method) =>
              (...args: unknown[]) =>
                this.#call(kind, name, String(method), args, instance),
          },
        ),
    })
    return {
      DIRECTORY: namespace('DIRECTORY'),
      LEDGER: namespace('LEDGER'),
      POOL: namespace('POOL'),
      LINK: namespace('LINK'),
      CATALOG: namespace('CATALOG'),
      TABLE: namespace('TABLE'),
      RESULTS: this.bucket.binding(() => instance.alive),
      SCARAB_SECRET: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
      SCARAB_FAULT_URL: 'simulated',
      // Small enough to be at work in every history.
      SCARAB_HOUSEKEEPING: JSON.stringify({ most_jobs: 2, kept_jobs: 1, stay_seconds: 5, begin_seconds: 3 }),
      fault: (point: string) => this.#fault(point),
    }
  }

  /** Carries out an event of the platform: a frame, a close, an alarm. */
  #event(place: Place, method: string, args: unknown[]): void {
    if (this.down) return
    void this.#run(place, method, args).catch((reason: unknown) =>
      this.note(`${method} of ${place.kind} ${place.name} threw: ${String(reason)}`),
    )
  }

  async #run(place: Place, method: string, args: unknown[]): Promise<unknown> {
    const instance = this.#wake(place)
    instance.busy++
    instance.lastUsed = this.schedule.now
    this.detail(() => `${place.kind} ${place.name} ${method} ${JSON.stringify(args).slice(0, 300)}`)
    try {
      while (instance.gate !== null) await instance.gate
      if (!instance.alive) return await new Promise(() => {})
      const found = instance.object[method]
      if (!found) throw new Error(`${place.kind} has no method ${method}`)
      return await running.run(instance, () => found.apply(instance.object, args))
    } finally {
      instance.busy--
      instance.lastUsed = this.schedule.now
    }
  }

  // ---- calls -------------------------------------------------------------------------------------------------------

  /** A call of a Worker: stateless, so nothing of it is left when the process dies; the client sees an error. */
  request(kind: Kind, name: string, method: string, args: unknown[]): Promise<unknown> {
    return this.#call(kind, name, method, args, null)
  }

  #call(kind: Kind, name: string, method: string, args: unknown[], from: Instance | null): Promise<unknown> {
    const { weather, chance } = this
    const lost = weather.lost > 0 && chance.happens(weather.lost)
    const early = lost && chance.happens(0.5)
    const doubled = weather.doubled > 0 && chance.happens(weather.doubled)
    return new Promise((resolve, reject) => {
      const life = this.#life
      let settled = false
      const settle = (deliver: () => void): void => {
        if (settled) return
        settled = true
        this.schedule.after(this.latency(), () => {
          // The answer to an object that is gone falls away with it.
          if (from === null || from.alive) deliver()
        })
      }
      const refuse = (reason: Error): void => settle(() => reject(reason))
      if (from === null) this.#clientCalls.add(refuse)
      if (this.down) return refuse(new Error('the edge is down'))
      const carryOut = (counts: boolean): void => {
        // What was on its way inside the process died with it.
        if (life !== this.#life || this.down) return
        const place = this.place(kind, name)
        const instance = this.#wake(place)
        if (counts) instance.callers.add(refuse)
        const given = weather.copies ? structuredClone(args) : args
        const called: Called = { kind, name, method, args, at: this.schedule.now, answer: undefined }
        this.called.push(called)
        this.#run(place, method, given).then(
          (answer) => {
            instance.callers.delete(refuse)
            if (!instance.alive) return
            called.answer = answer
            if (lost) refuse(new Error(`the answer of ${method} was lost`))
            else settle(() => resolve(weather.copies ? structuredClone(answer) : answer))
          },
          (reason: unknown) => {
            instance.callers.delete(refuse)
            if (instance.alive) refuse(reason instanceof Error ? reason : new Error(String(reason)))
          },
        )
      }
      if (early) return refuse(new Error(`${method} was lost`))
      this.schedule.after(this.latency(), () => carryOut(true))
      // The second one may come long after everything that followed the first.
      if (doubled) this.schedule.after(this.latency() + (chance.happens(0.5) ? chance.next() * 5_000 : 0), () => carryOut(false))
    })
  }

  readonly #clientCalls = new Set<(fault: Error) => void>()

  /** Opens a socket at an object, as the Worker does for an authorised upgrade. Answers null when the edge is not there. */
  connect(kind: 'LINK' | 'LEDGER', name: string, url: string, headers: Record<string, string>): Promise<EdgeSocket | null> {
    return new Promise((resolve) => {
      const life = this.#life
      this.schedule.after(this.latency(), () => {
        if (this.down || life !== this.#life) return resolve(null)
        const place = this.place(kind, name)
        this.#run(place, 'fetch', [{ url, headers: { get: (header: string) => headers[header] ?? null } }]).then(
          (answer) => {
            const client = (answer as { webSocket: object | null }).webSocket
            const socket = client ? (this.#byClient.get(client) ?? null) : null
            this.schedule.after(this.latency(), () => resolve(socket?.open && life === this.#life ? socket : null))
          },
          () => resolve(null),
        )
        // The process may die before it answers.
        this.schedule.after(10_000, () => resolve(null))
      })
    })
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  #setAlarm(place: Place, at: number): void {
    place.alarm = at
    if (place.alarmPlanned) place.alarmPlanned.run = null
    place.alarmPlanned = this.schedule.after(at - this.ambient.wallNow() + this.chance.next(), () => this.#ring(place))
  }

  #ring(place: Place): void {
    if (place.alarm === null || this.down || place.alarmRuns) return
    if (this.ambient.wallNow() < place.alarm) {
      this.#setAlarm(place, place.alarm)
      return
    }
    place.alarm = null
    place.alarmRuns = true
    const life = this.#life
    const over = (failed: boolean): void => {
      if (life !== this.#life || !place.alarmRuns) return
      place.alarmRuns = false
      place.alarmFailures = failed ? place.alarmFailures + 1 : 0
      // At least once: an alarm that failed rings again, unless the object has set another one.
      const again = this.ambient.wallNow() + 2_000 * 2 ** place.alarmFailures
      if (failed && place.alarm === null && place.alarmFailures <= ALARM_RETRIES) this.#setAlarm(place, again)
      else if (place.alarm !== null) this.#setAlarm(place, place.alarm)
    }
    this.#run(place, 'alarm', []).then(
      () => over(false),
      (reason: unknown) => {
        this.note(`alarm of ${place.kind} ${place.name} failed: ${String(reason)}`)
        over(true)
      },
    )
  }

  /** The clock on the wall is set; alarms follow the wall. */
  jump(ms: number): void {
    this.skew += ms
    this.note(`clock jumps by ${ms}`)
    for (const place of this.places.values()) if (place.alarm !== null) this.#setAlarm(place, place.alarm)
  }

  /** Objects with nothing to do lose their memory; their sockets stay. */
  evictIdle(): void {
    for (const place of this.places.values()) {
      const { instance } = place
      if (!instance || instance.busy > 0 || instance.lastUsed + IDLE_MS > this.schedule.now) continue
      instance.alive = false
      place.instance = null
      this.note(`evicted ${place.kind} ${place.name}`)
    }
  }

  /** The minute's sweep, as the Worker's cron does it. */
  sweep(): void {
    const poke = (kind: Kind, name: string): void => {
      this.request(kind, name, 'sweep', []).catch(() => undefined)
    }
    for (const ledger of this.directory.ledgers) poke('LEDGER', ledger)
    for (const table of this.directory.tables) poke('TABLE', table)
    for (const pool of this.directory.pools) poke('POOL', pool)
    for (const node of this.directory.nodes.keys()) poke('LINK', node)
  }

  // ---- death -------------------------------------------------------------------------------------------------------

  #fault(point: string): Promise<void> {
    const passage = (this.#passages.get(point) ?? 0) + 1
    this.#passages.set(point, passage)
    if (!this.weather.faults.some((wanted) => wanted.point === point && wanted.passage === passage)) return Promise.resolve()
    this.struck.push(point)
    this.note(`stopped at ${point}#${passage}`)
    // The point waits for ever; the process dies before anything else happens.
    this.schedule.after(0, () => this.crash())
    return new Promise(() => {})
  }

  /** kill -9 of the edge's process: all memory, all sockets, all that was on its way. */
  crash(): void {
    if (this.down) return
    this.crashes++
    this.#life++
    this.downUntil = this.schedule.now + this.chance.between(50, 3_000)
    this.note(`edge dies, back in ${Math.floor(this.downUntil - this.schedule.now)}`)
    for (const place of this.places.values()) this.#forget(place)
    for (const refuse of [...this.#clientCalls]) refuse(new Error('the connection to the edge broke'))
    this.#clientCalls.clear()
    this.schedule.after(this.downUntil - this.schedule.now, () => {
      for (const place of this.places.values()) if (place.alarm !== null) this.#setAlarm(place, place.alarm)
    })
    for (const tell of this.onCrash) tell()
  }

  /** One object is thrown out of memory, as the platform does at a deploy or when it moves it. */
  reset(place: Place): void {
    const { instance } = place
    if (!instance) return
    this.note(`reset ${place.kind} ${place.name}`)
    const callers = [...instance.callers]
    this.#forget(place)
    for (const refuse of callers) refuse(new Error('the object was reset'))
    if (place.alarm !== null) this.#setAlarm(place, place.alarm)
  }

  #forget(place: Place): void {
    if (place.instance) place.instance.alive = false
    place.instance = null
    if (place.alarmRuns) {
      place.alarmRuns = false
      place.alarm ??= this.ambient.wallNow()
    }
    for (const socket of place.sockets) {
      socket.forget()
      socket.breaks(null, this.chance.between(1, 200))
    }
    place.sockets.clear()
  }
}
