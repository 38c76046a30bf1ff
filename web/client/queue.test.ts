import { describe, expect, it } from 'vitest'
import { aborted, isAbort, type Priority, StatementQueue } from './queue.ts'

/** A statement that ends when told to, and rejects when it is stopped. */
const statement = (log: string[], name: string) => {
  const done = Promise.withResolvers<string>()
  const started = Promise.withResolvers<void>()
  const work = (signal: AbortSignal): Promise<string> => {
    log.push(`start ${name}`)
    started.resolve()
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        log.push(`stop ${name}`)
        reject(aborted())
      })
      void done.promise.then(resolve)
    })
  }
  return { work, finish: () => done.resolve(name), started: started.promise }
}

const at = (queue: StatementQueue, log: string[], name: string, priority: Priority, signal?: AbortSignal) => {
  const one = statement(log, name)
  const result = queue.run(priority, one.work, signal)
  return { ...one, result }
}

describe('StatementQueue', () => {
  it('runs one statement at a time, pages before views before statistics', async () => {
    const log: string[] = []
    const queue = new StatementQueue()
    const first = at(queue, log, 'view 1', 'view')
    const stats = at(queue, log, 'stats', 'stats')
    const view = at(queue, log, 'view 2', 'view')
    const page = at(queue, log, 'page', 'page')
    for (const one of [first, page, view, stats]) {
      await one.started
      one.finish()
      await one.result
    }
    expect(log).toEqual(['start view 1', 'start page', 'start view 2', 'start stats'])
  })

  it('stops a statistic for a page and runs it again afterwards', async () => {
    const log: string[] = []
    const queue = new StatementQueue()
    const stats = at(queue, log, 'stats', 'stats')
    await stats.started
    const page = at(queue, log, 'page', 'page')
    await page.started
    page.finish()
    await page.result
    stats.finish()
    expect(await stats.result).toBe('stats')
    expect(log).toEqual(['start stats', 'stop stats', 'start page', 'start stats'])
  })

  it('rejects what is cancelled, waiting or running, and goes on', async () => {
    const log: string[] = []
    const queue = new StatementQueue()
    const running = new AbortController()
    const waiting = new AbortController()
    const first = at(queue, log, 'first', 'view', running.signal)
    const second = at(queue, log, 'second', 'view', waiting.signal)
    const third = at(queue, log, 'third', 'view')
    await first.started
    waiting.abort()
    running.abort()
    expect(isAbort(await first.result.catch((error: unknown) => error))).toBe(true)
    expect(isAbort(await second.result.catch((error: unknown) => error))).toBe(true)
    third.finish()
    expect(await third.result).toBe('third')
    expect(log).toEqual(['start first', 'stop first', 'start third'])
  })

  it('hands on a statement’s own fault', async () => {
    const queue = new StatementQueue()
    await expect(queue.run('view', () => Promise.reject(new Error('no such column')))).rejects.toThrow('no such column')
    await expect(queue.run('view', () => Promise.resolve(1))).resolves.toBe(1)
  })
})
