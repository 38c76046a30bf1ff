import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PATIENCE_MS } from '../test-patience.ts'
import { Link, type LinkEvents, type LinkOptions } from './link.ts'
import { TestEdge } from './test-edge.ts'

setDefaultTimeout(PATIENCE_MS)

const closers: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const hello = JSON.stringify({
  type: 'hello',
  version: 1,
  session: 's'.repeat(20),
  name: 'n1',
  slots: 1,
  queues: null,
  labels: {},
  engines: [],
  holding: [],
})

/** A link whose events can be awaited. */
const dial = (edge: URL, token: () => Promise<string>, more: Pick<LinkOptions, 'now' | 'after'> = {}) => {
  const said: string[] = []
  const waiting: { kind: string; give: (words: string) => void }[] = []
  const happened = (kind: string, words: string): void => {
    const at = waiting.findIndex((one) => one.kind === kind)
    waiting
      .splice(at, at < 0 ? 0 : 1)
      .at(0)
      ?.give(words)
  }
  const events: LinkEvents = {
    hello: () => hello,
    message: (message) => happened('message', message.type),
    lost: () => happened('lost', ''),
    ended: (reason) => happened('ended', reason),
    log: (line) => {
      said.push(line)
      happened('log', line)
    },
  }
  const link = new Link({ edge, token, events, random: () => 0, ...more })
  closers.push(() => link.close())
  return { link, said, next: (kind: string) => new Promise<string>((give) => waiting.push({ kind, give })) }
}

describe('the link', () => {
  test('reads its token anew for every connection', async () => {
    const edge = new TestEdge()
    closers.push(() => edge.close())
    let n = 0
    const { link, next } = dial(edge.url, async () => `token-${++n}\n`)
    const welcome = next('message')
    link.start()
    expect(await welcome).toBe('welcome')
    const [lost, again] = [next('lost'), next('message')]
    edge.cut()
    await lost
    expect(await again).toBe('welcome')
    expect(edge.tokens).toEqual(['Bearer token-1', 'Bearer token-2'])
  })

  test('says in words why the edge refuses it, once, and keeps dialling', async () => {
    let asked = 0
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => {
        asked += 1
        return Response.json({ code: 'invalid_token', detail: 'the token is for another audience' }, { status: 401 })
      },
    })
    closers.push(() => server.stop(true))
    const { link, said, next } = dial(new URL(`http://127.0.0.1:${server.port}`), async () => 'wrong')
    const line = next('log')
    link.start()
    expect(await line).toContain('the token is for another audience; dialling again')
    expect(said).toHaveLength(1)
    expect(asked).toBeGreaterThan(3)
    expect(said[0]).not.toContain('wrong')
  })

  test('says that it dialled something which is no edge', async () => {
    const other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('<h1>Hello</h1>', { status: 404 }) })
    closers.push(() => other.stop(true))
    const { link, next } = dial(new URL(other.url), async () => 'token', { after: (_, run) => setTimeout(run, 0) })
    const said = next('log')
    link.start()
    expect(await said).toContain('what answers there (status 404) is no edge of Scarab: check --edge; dialling again')
  })

  test('gives up when the edge says that coming back makes no sense', async () => {
    const edge = new TestEdge()
    closers.push(() => edge.close())
    const { link, next } = dial(edge.url, async () => 't')
    const welcome = next('message')
    link.start()
    await welcome
    const ended = next('ended')
    edge.send({ type: 'bye', code: 'replaced', detail: 'another process has this name', retry: false })
    expect(await ended).toBe('another process has this name')
  })

  test('comes back ever later while the edge ends one connection after the other, and soon again after a good one', async () => {
    const edge = new TestEdge()
    closers.push(() => edge.close())
    let now = 0
    const pauses: number[] = []
    const after = (ms: number, run: () => void): Timer => {
      pauses.push(ms)
      return setTimeout(run, 0)
    }
    const { link, next } = dial(edge.url, async () => 't', { now: () => now, after })
    let welcome = next('message')
    link.start()
    const ends = async (lived: number): Promise<void> => {
      expect(await welcome).toBe('welcome')
      now += lived
      const [bye, lost] = [next('message'), next('lost')]
      edge.send({ type: 'bye', code: 'unavailable', detail: 'a part of the edge did not answer', retry: true })
      await bye
      welcome = next('message')
      edge.cut()
      await lost
    }
    // The same message is repeated to an edge that cannot take it.
    for (let n = 0; n < 9; n++) await ends(100)
    await ends(60_000)
    await ends(100)
    await welcome
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1600, 2500, 2500, 2500, 25, 50])
  })

  test('passes over what it does not understand: later versions may say more', async () => {
    const edge = new TestEdge()
    closers.push(() => edge.close())
    const { link, next, said } = dial(edge.url, async () => 't')
    const welcome = next('message')
    link.start()
    await welcome
    const line = next('log')
    edge.sendRaw('{"type": "greeting"}')
    await line
    const offers = next('message')
    edge.send({ type: 'offers', items: [] })
    expect(await offers).toBe('offers')
    expect(said[0]).toContain('does not understand')
  })
})
