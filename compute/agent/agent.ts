import type { ResultSchema } from '../../edge/contract/columns.ts'
import { type FromNode, type Lease, NODE_PROTOCOL_VERSION, type Offer, type SliceMessage, type ToNode } from '../../edge/contract/node.ts'
import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Engine, EngineName, Produced, Source, SqlTask } from '../engines/engine.ts'
import { findSource } from '../tasks/sources.ts'
import { announceMessages } from './announce.ts'
import { runAttempt, Stopped } from './attempt.ts'
import { candidates, pick } from './choose.ts'
import { AgentCore } from './core.ts'
import { Link } from './link.ts'
import { makePacker, type PackRequest } from './packs.ts'
import { throttledProgress } from './progress.ts'
import { Requests } from './requests.ts'
import type { Spool } from './spool.ts'
import { type Effect, keyOf, type Outcome } from './words.ts'

/** After the drain's own time: for stopping what still runs and handing it back. */
const LAST_WORDS_MS = 1_500

/** A message that the edge could not take is repeated after this. */
const AGAIN_MS = 500
/** The core counts waiting in these. */
const TICK_MS = 1_000

export type SliceOutcome = Extract<FromNode, { type: 'sliced' }>['outcome']

export interface AgentOptions {
  edge: URL
  token(): Promise<string>
  name: string
  /** One connection life: 16 to 64 characters, new at every start. */
  session: string
  slots: number
  queues: string[] | null
  labels: Record<string, string>
  sources: readonly Source[]
  engines: ReadonlyMap<EngineName, Engine>
  spool: Spool
  /** The task with that very text, or null (I7). */
  find(name: string, hash: string): SqlTask | null
  /** Makes a pack, or null when a browser could not hold it. */
  pack(request: PackRequest): Promise<{ path: string; bytes: number; sha256: string } | null>
  slice(message: SliceMessage): Promise<SliceOutcome>
  /** The edge ended the link for good. */
  ended(reason: string): void
  log(line: string): void
}

export interface Agent {
  start(): void
  /** The tasks to announce; may be called again when descriptions have changed. */
  announce(tasks: AnnouncedTask[]): void
  /** No new work, running attempts get this long, then everything is handed back. */
  drain(seconds: number): Promise<void>
  /** Cuts the link at once. */
  close(): void
  /** Attempts by their stage, for the log and for tests. */
  counts(): ReturnType<AgentCore['counts']>
}

interface Running {
  stop: AbortController
  done: Promise<void>
}

/** Wires the core to the link, the engines, the spool and the slices. */
export const createAgent = (options: AgentOptions): Agent => {
  const { log, spool } = options
  const running = new Map<string, Running>()
  /** Won attempts whose files wait for their pack. */
  const finished = new Map<string, { produced: Produced; schema: ResultSchema; folder: string }>()
  const timers = {
    after: (ms: number, run: () => void) => {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
  }
  let tasks: AnnouncedTask[] | null = null
  /** Numbers of the first and the last message of the announcement under way. */
  let announcing: { first: number; last: number } | null = null
  let welcomed = false
  let ticking: Timer | undefined
  let idle: () => void = () => {}
  const isIdle = new Promise<void>((resolve) => {
    idle = resolve
  })

  const sourcesFor = (offer: Offer): Source[] => {
    const task = options.find(offer.task, offer.task_hash)
    return task ? candidates(offer, task, options.sources) : []
  }
  const core = new AgentCore({
    slots: options.slots,
    task: (offer) => options.find(offer.task, offer.task_hash),
    maxActive: (name) => findSource(name, options.sources)?.maxActive ?? Number.MAX_SAFE_INTEGER,
    place: (offer, full) => {
      const from = sourcesFor(offer)
      // A name that the node does not have is not "full": the attempt begins, and says what is missing.
      if (from.length === 0) return offer.db ?? options.find(offer.task, offer.task_hash)?.db[0] ?? 'duckdb'
      return pick(from, full, Math.random())?.name ?? null
    },
  })

  const link = new Link({
    edge: options.edge,
    token: options.token,
    events: {
      hello: () =>
        JSON.stringify({
          type: 'hello',
          version: NODE_PROTOCOL_VERSION,
          session: options.session,
          name: options.name,
          slots: options.slots,
          queues: options.queues,
          labels: options.labels,
          engines: [...options.engines.keys()],
          holding: core.holding(),
        }),
      message: (message) => receive(message),
      lost: () => {
        welcomed = false
        announcing = null
        perform(core.lost())
      },
      ended: options.ended,
      log,
    },
  })
  const requests = new Requests(
    () => core.nextRe(),
    (text) => {
      if (welcomed) link.send(text)
    },
  )
  const packer = makePacker({ edge: options.edge, requests, pack: options.pack, log })

  const announceNow = (): void => {
    if (!welcomed || tasks === null) return
    const messages = announceMessages(tasks, () => core.nextRe())
    const [first, last] = [messages.at(0), messages.at(-1)]
    announcing = first && last ? { first: first.re, last: last.re } : null
    for (const { text } of messages) link.send(text)
  }

  const receive = (message: ToNode): void => {
    switch (message.type) {
      case 'welcome':
        welcomed = true
        perform(core.welcome(message.fenced))
        requests.repeat()
        announceNow()
        return
      case 'announced':
        for (const { task, detail } of message.refused) log(`the edge refused task "${task}": ${detail}`)
        if (message.re !== announcing?.last) return
        log(`node ${options.name}: its ${tasks?.length ?? 0} tasks are announced`)
        perform(core.announced())
        return
      case 'offers':
        perform(core.offers(message.items))
        return
      case 'ack':
        perform(core.ack(message))
        return
      case 'cancel':
        perform(core.cancel(message))
        return
      case 'fence':
        perform(core.fence(message))
        return
      case 'refused':
        if (requests.answer(message)) return
        log(`the edge refused a message: ${message.code}: ${message.detail}`)
        if (message.re === null) return
        if (announcing && message.re >= announcing.first && message.re <= announcing.last) setTimeout(announceNow, AGAIN_MS)
        else perform(core.refused(message.re, message.code, message.detail))
        return
      case 'schema':
      case 'granted':
        requests.answer(message)
        return
      case 'slice':
        void answerSlice(message)
        return
      case 'bye':
        return
    }
  }

  const answerSlice = async (message: SliceMessage): Promise<void> => {
    let outcome: SliceOutcome
    try {
      outcome = await options.slice(message)
    } catch (fault) {
      log(`slice of ${message.result} failed: ${fault instanceof Error ? fault.message : String(fault)}`)
      outcome = { ok: false, code: 'unavailable', detail: 'the node could not compute the slice' }
    }
    link.send(JSON.stringify({ type: 'sliced', re: message.re, outcome }))
  }

  const perform = (effects: Effect[]): void => {
    for (const effect of effects) {
      switch (effect.do) {
        case 'send':
          link.send(effect.text)
          break
        case 'run':
          run(effect.offer, effect.source)
          break
        case 'abort':
          running.get(keyOf(effect.lease))?.stop.abort(new Stopped(effect.reason))
          break
        case 'end':
          void clean(effect.lease, effect.won)
          break
        case 'again':
          setTimeout(() => perform(core.again(effect.re)), AGAIN_MS)
          break
        case 'log':
          log(effect.line)
          break
        case 'idle':
          idle()
          break
      }
    }
  }

  const run = (offer: Offer, source: string): void => {
    const key = keyOf(offer)
    const began = performance.now()
    const stop = new AbortController()
    const progress = throttledProgress(offer, timers, (text) => {
      if (welcomed) link.send(text)
    })
    let folder = ''
    const work = async (): Promise<Outcome> => {
      const attempt = await runAttempt(
        offer,
        source,
        {
          edge: options.edge,
          task: (one) => options.find(one.task, one.task_hash),
          source: (name) => findSource(name, options.sources),
          engine: (name) => options.engines.get(name) ?? null,
          requests,
          folder: async (lease, makes) => {
            folder = makes ? spool.place(lease) : await spool.open(lease)
            return folder
          },
          report: progress.report,
          clock: () => performance.now(),
        },
        stop,
      )
      if (attempt.produced && attempt.schema) finished.set(key, { produced: attempt.produced, schema: attempt.schema, folder })
      return attempt.outcome
    }
    const done = work().then((outcome) => {
      progress.stop()
      running.delete(key)
      if (outcome.kind === 'fail')
        log(`job ${offer.job} attempt ${offer.attempt} failed: ${outcome.failure.code}: ${outcome.failure.message}`)
      perform(core.settled(offer, outcome, performance.now() - began))
    })
    running.set(key, { stop, done })
  }

  /** Files go when nobody needs them: after the engine has let go of them, and after the pack. */
  const clean = async (lease: Lease, won: boolean): Promise<void> => {
    const key = keyOf(lease)
    await running.get(key)?.done
    const kept = finished.get(key)
    finished.delete(key)
    try {
      if (won && kept) {
        const packed = await packer.make({ lease, ...kept })
        if (packed !== null) perform(core.packed(lease, packed))
      }
      await spool.drop(lease)
    } catch (fault) {
      log(`after job ${lease.job}: ${fault instanceof Error ? fault.message : String(fault)}`)
    }
  }

  return {
    start: () => {
      ticking = setInterval(() => perform(core.tick()), TICK_MS)
      link.start()
    },
    announce: (list) => {
      tasks = list
      announceNow()
    },
    counts: () => core.counts(),
    close: () => {
      clearInterval(ticking)
      packer.stop()
      link.close()
    },
    drain: async (seconds) => {
      perform(core.drain())
      let over: Timer | undefined
      const late = new Promise<void>((resolve) => {
        over = setTimeout(() => {
          perform(core.drainOver())
          packer.stop()
          over = setTimeout(resolve, LAST_WORDS_MS)
        }, seconds * 1000)
      })
      await Promise.race([isIdle.then(() => packer.idle()), late])
      clearTimeout(over)
      clearInterval(ticking)
      packer.stop()
      link.close()
    },
  }
}
