import { describe, expect, it } from 'vitest'
import { createHttp } from './http.ts'
import { type Watched, watchJob } from './watch.ts'
import { ApiError } from './wire.ts'

const event = (seq: number, state: string, more: object = {}): string =>
  `id: ${seq}\nevent: state\ndata: ${JSON.stringify({ seq, job: 'j', type: 'state', state, at: '2026-01-01T00:00:00.000Z', ...more })}\n\n`
const progress = `event: progress\ndata: ${JSON.stringify({ job: 'j', state: 'running', at: 'x', phase: 'executing', engine: null, progress: null })}\n\n`

/** A server that answers each request with the next of some streams; a stream ends, or breaks after its last text. */
const server = (streams: ({ texts: string[]; breaks?: boolean } | number)[]) => {
  const asked: { path: string; last: string | null }[] = []
  const http = createHttp({
    origin: 'http://scarab.test',
    token: 't',
    fetch: (input, init) => {
      asked.push({
        path: new URL(String(input)).pathname + new URL(String(input)).search,
        last: new Headers(init?.headers).get('last-event-id'),
      })
      const next = streams.shift()
      if (next === undefined) return Promise.reject(new TypeError('no more streams'))
      if (typeof next === 'number') return Promise.resolve(new Response(next === 204 ? null : '{}', { status: next }))
      const texts = [...next.texts]
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          const text = texts.shift()
          if (text !== undefined) controller.enqueue(new TextEncoder().encode(text))
          else if (next.breaks) controller.error(new TypeError('reset'))
          else controller.close()
        },
      })
      return Promise.resolve(new Response(body, { status: 200 }))
    },
  })
  return { http, asked }
}

const collect = async (watching: AsyncGenerator<Watched, void, undefined>) => {
  const seen: string[] = []
  for await (const one of watching)
    seen.push(
      one.type === 'event' ? `${one.event.seq} ${one.event.state}` : one.type === 'connection' ? `connection ${one.seconds}` : one.type,
    )
  return seen
}

describe('watchJob', () => {
  it('ends where there is nothing more to come', async () => {
    const { http, asked } = server([204])
    expect(await collect(watchJob(http, 'j', { after: 4, wait: async () => undefined }))).toEqual([])
    expect(asked).toHaveLength(1)
  })

  it('takes up a broken stream behind the last event, once each and in order', async () => {
    const waits: number[] = []
    const { http, asked } = server([
      { texts: [event(1, 'waiting'), event(2, 'leased').slice(0, 20)], breaks: true },
      503,
      { texts: [event(1, 'waiting'), event(2, 'leased') + progress, event(3, 'running'), event(4, 'succeeded')] },
    ])
    const seen = await collect(watchJob(http, 'j', { wait: async (milliseconds) => void waits.push(milliseconds) }))
    expect(seen).toEqual([
      '1 waiting',
      'connection 0.5',
      'connection 1',
      'connection null',
      '2 leased',
      'progress',
      '3 running',
      '4 succeeded',
    ])
    expect(asked.map((one) => one.last)).toEqual([null, '1', '1'])
    expect(waits).toEqual([500, 1000])
  })

  it('tries again soon after it had been getting on, and ever later while it does not', async () => {
    const waits: number[] = []
    const { http } = server([503, 503, { texts: [event(1, 'waiting')], breaks: true }, 503, { texts: [event(2, 'failed')] }])
    await collect(watchJob(http, 'j', { wait: async (milliseconds) => void waits.push(milliseconds) }))
    expect(waits).toEqual([500, 1000, 500, 1000])
  })

  it('follows on to publication when asked, and ends there', async () => {
    const { http, asked } = server([
      {
        texts: [
          event(1, 'succeeded', { type: 'state' }),
          event(2, 'succeeded', { type: 'publication', publication: 'published' }),
          event(3, 'succeeded'),
        ],
      },
    ])
    expect(await collect(watchJob(http, 'j', { until: 'published' }))).toEqual(['1 succeeded', '2 succeeded'])
    expect(asked[0]?.path).toBe('/v1/jobs/j/events?until=published')
  })

  it('begins behind the event that is known already', async () => {
    const { http, asked } = server([{ texts: [event(3, 'failed')] }])
    expect(await collect(watchJob(http, 'j', { after: 2 }))).toEqual(['3 failed'])
    expect(asked[0]?.last).toBe('2')
  })

  it('gives up where repeating cannot help', async () => {
    const { http } = server([404])
    await expect(collect(watchJob(http, 'j'))).rejects.toThrow(ApiError)
  })

  it('ends without a word when its reader stops it', async () => {
    const stop = new AbortController()
    const { http } = server([{ texts: [event(1, 'waiting')], breaks: true }])
    const seen = await collect(watchJob(http, 'j', { signal: stop.signal, wait: async () => stop.abort() }))
    expect(seen).toEqual(['1 waiting', 'connection 0.5'])
  })
})
