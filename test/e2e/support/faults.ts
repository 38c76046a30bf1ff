import { globSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')

/** Every named fault point in the edge's source, sorted. */
export const faultPointsInSource = (): string[] => {
  const points = new Set<string>()
  for (const file of globSync('edge/**/*.ts', { cwd: ROOT })) {
    if (file.endsWith('.test.ts')) continue
    for (const [, name] of readFileSync(join(ROOT, file), 'utf8').matchAll(/\bfault\((?:[\w.#]*env, )?'([a-z]+\.[a-z-]+)'\)/g))
      if (name !== undefined) points.add(name)
  }
  return [...points].sort()
}

export interface FaultServer {
  /** For the binding `SCARAB_FAULT_URL`. */
  url: string
  /** Resolves when the point is reached next, which goes on. */
  reached(point: string): Promise<void>
  /** Kills at the next report of the point; resolves when it has. */
  killAt(point: string, kill: () => void): Promise<void>
  close(): void
}

/** Listens to the fault points. A point that is to be killed at is never answered: the process dies while it waits. */
export const startFaultServer = async (): Promise<FaultServer> => {
  let armed: { point: string; hit: () => void } | null = null
  const awaited = new Map<string, () => void>()
  const server = createServer((request, response) => {
    const point = (request.url ?? '').slice(1)
    if (armed?.point === point) {
      const { hit } = armed
      armed = null
      hit()
      request.socket.destroy()
      return
    }
    response.end()
    awaited.get(point)?.()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the fault server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    reached: (point) => new Promise((resolve) => awaited.set(point, resolve)),
    killAt: (point, kill) =>
      new Promise((resolve) => {
        armed = {
          point,
          hit: () => {
            kill()
            resolve()
          },
        }
      }),
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
