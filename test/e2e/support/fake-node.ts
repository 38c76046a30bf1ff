import { createHash, randomBytes } from 'node:crypto'
import type { Column, ResultSchema } from '../../../edge/contract/columns.ts'
import { plainTask } from '../../../edge/contract/fixture.ts'
import { type Lease, NODE_PROTOCOL_VERSION, NODE_SUBPROTOCOL, type Offer, PING_SECONDS, ToNode } from '../../../edge/contract/node.ts'
import type { AnnouncedTask } from '../../../edge/contract/tasks.ts'
import { PATIENCE_MS } from '../../support/patience.ts'

type MessageOf<Type extends ToNode['type']> = Extract<ToNode, { type: Type }>

/** A compute node written by hand: it says what the test tells it to, true or not. */
export interface FakeNode {
  session: string
  welcome: MessageOf<'welcome'>
  /** Sends a message as it is. */
  tell(message: object): void
  /** Sends a request with a number and resolves with its answer. */
  ask(message: object): Promise<ToNode>
  /** The next message of a type that was not taken yet. */
  next<Type extends ToNode['type']>(type: Type): Promise<MessageOf<Type>>
  /** The next offer that was not taken yet. */
  offer(): Promise<Offer>
  /** The next offers that were not taken yet: one at least, and at most so many. */
  offers(most: number): Promise<Offer[]>
  /** Outcome of a one-item request. */
  outcome(message: object): Promise<{ outcome: string; detail: string | null }>
  /** Code of the refusal of a grant request, or its puts. */
  grant(lease: Lease, file: { bytes: number; sha256: string }): Promise<MessageOf<'granted'>['answer']>
  /** Resolves with why the edge ended the link. */
  gone: Promise<string>
  /** Ends the socket and waits until it is closed. */
  hangUp(): Promise<void>
}

export interface Dial {
  origin: string
  token: string
  session?: string
  holding?: (Lease & { running: boolean })[]
  slots?: number
  /** Queues that it listens to; all when absent. */
  queues?: string[]
}

export const newSession = (): string => randomBytes(18).toString('base64url')
export const leaseOf = ({ tenant, job, attempt }: Lease): Lease => ({ tenant, job, attempt })

/** A task as a node announces it: one column `n` unless `columns` says otherwise. */
export const fakeTask = (name: string, columns: Column[] | null = [{ name: 'n', type: 'long' }]): AnnouncedTask =>
  plainTask(name, { hash: createHash('sha256').update(name).digest('hex'), columns })

/** Dials, says hello and waits for the welcome. */
export const dialNode = async ({ origin, token, session = newSession(), holding = [], slots = 4, queues }: Dial): Promise<FakeNode> => {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/node/v1/link`, {
    protocols: [NODE_SUBPROTOCOL],
    headers: { authorization: `Bearer ${token}` },
  } as never)
  const inbox: ToNode[] = []
  const waiting: { fits: (message: ToNode) => boolean; take: (message: ToNode) => void }[] = []
  let re = 0

  const take = (fits: (message: ToNode) => boolean, what: string): Promise<ToNode> => {
    const at = inbox.findIndex(fits)
    const [there] = at < 0 ? [] : inbox.splice(at, 1)
    if (there) return Promise.resolve(there)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} came; there is ${JSON.stringify(inbox)}`)), PATIENCE_MS)
      waiting.push({
        fits,
        take: (message) => {
          clearTimeout(timer)
          resolve(message)
        },
      })
    })
  }
  const offers: Offer[] = []
  socket.addEventListener('message', ({ data }) => {
    const text = String(data)
    if (text === 'pong') return
    const message = ToNode.parse(JSON.parse(text))
    if (message.type === 'offers' || message.type === 'ack') offers.push(...(message.type === 'offers' ? message.items : message.offers))
    const at = waiting.findIndex(({ fits }) => fits(message))
    const [waiter] = at < 0 ? [] : waiting.splice(at, 1)
    if (waiter) waiter.take(message)
    else inbox.push(message)
  })
  let saidBye = ''
  const gone = new Promise<string>((resolve) => {
    socket.addEventListener('close', ({ reason }) => {
      for (const message of inbox) if (message.type === 'bye') saidBye = message.code
      resolve(saidBye || reason || 'closed')
    })
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error('the edge did not open the link')))
  })

  // However long a test takes, its node lives.
  const pinging = setInterval(() => socket.send('ping'), PING_SECONDS * 1000)
  void gone.then(() => clearInterval(pinging))

  const tell = (message: object): void => socket.send(JSON.stringify(message))
  const next = async <Type extends ToNode['type']>(type: Type): Promise<MessageOf<Type>> =>
    (await take((message) => message.type === type, type)) as MessageOf<Type>
  const ask = (message: object): Promise<ToNode> => {
    re += 1
    const own = re
    tell({ ...message, re: own })
    return take((answer) => 're' in answer && answer.re === own && answer.type !== 'slice', `answer to ${JSON.stringify(message)}`)
  }
  tell({
    type: 'hello',
    version: NODE_PROTOCOL_VERSION,
    session,
    name: 'by-hand',
    slots,
    queues: queues ?? null,
    labels: {},
    engines: ['duckdb'],
    holding,
  })
  const welcome = await next('welcome')
  const untaken = async (most: number): Promise<Offer[]> => {
    while (offers.length === 0) await next('offers')
    return offers.splice(0, most)
  }
  return {
    session,
    welcome,
    tell,
    ask,
    next,
    gone,
    offer: async () => {
      const [first] = await untaken(1)
      if (!first) throw new Error('no offer')
      return first
    },
    offers: untaken,
    outcome: async (message) => {
      const answer = await ask(message)
      if (answer.type === 'refused') return { outcome: 'refused', detail: answer.code }
      if (answer.type !== 'ack') throw new Error(`an ack was expected, not ${JSON.stringify(answer)}`)
      const [item] = answer.items
      return { outcome: item?.outcome ?? 'none', detail: item?.detail ?? null }
    },
    grant: async (lease, file) => {
      const answer = await ask({ type: 'grant', ...leaseOf(lease), files: [{ kind: 'data', n: 0, ...file }] })
      if (answer.type !== 'granted') throw new Error(`a grant was expected, not ${JSON.stringify(answer)}`)
      return answer.answer
    },
    hangUp: async () => {
      socket.close(1000, 'the test ends it')
      await gone
    },
  }
}

/** Announces tasks and asks for work. */
export const serve = async (node: FakeNode, tasks: AnnouncedTask[], want = 4): Promise<ToNode> => {
  const answer = await node.ask({ type: 'announce', tasks, last: true })
  node.tell({ type: 'want', want })
  return answer
}

export type { ResultSchema }
