import type { EdgeSocket } from './sockets.ts'

/** What the objects take from their surroundings without naming it: time, chance, timers and the log. */
export interface Ambient {
  /** The clock on the wall of the edge, milliseconds since 1970; may jump. */
  wallNow(): number
  after(ms: number, run: () => void): number
  cancel(timer: number): void
  fill(bytes: Uint8Array): void
  warn(text: string): void
  pair(): [EdgeSocket['client'], EdgeSocket['server']]
}

let current: Ambient | null = null
const ambient = (): Ambient => {
  if (!current) throw new Error('an object of a history that is over has woken up')
  return current
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

/** The upgrade's answer: Node's own `Response` knows no status 101. */
class UpgradeResponse {
  readonly status: number
  readonly webSocket: EdgeSocket['client'] | null
  constructor(_body: unknown, init: { status: number; webSocket?: EdgeSocket['client'] }) {
    this.status = init.status
    this.webSocket = init.webSocket ?? null
  }
}
class Pair {
  constructor() {
    const [client, server] = ambient().pair()
    Object.assign(this, { 0: client, 1: server })
  }
}
class AutoResponse {}

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** What stands in the global scope while a history runs. Each of them asks the current history. */
const REPLACED = {
  setTimeout: (run: () => void, ms = 0) => ambient().after(ms, run),
  clearTimeout: (timer: number | undefined) => {
    if (timer !== undefined) ambient().cancel(timer)
  },
  Response: UpgradeResponse,
  WebSocketPair: Pair,
  WebSocketRequestResponsePair: AutoResponse,
  crypto: {
    subtle: globalThis.crypto.subtle,
    getRandomValues: <T extends ArrayBufferView>(view: T): T => {
      ambient().fill(bytesOf(view))
      return view
    },
    randomUUID: () => {
      const bytes = new Uint8Array(16)
      ambient().fill(bytes)
      return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    },
  },
} as const

/** Kept by the objects as it is, so it is the same function in every history. */
const wallNow = (): number => ambient().wallNow()

/** Runs a history with its own time and chance in the global scope, and puts the real ones back. */
export const within = async <T>(surroundings: Ambient, body: () => Promise<T>): Promise<T> => {
  const real = { now: Date.now, warn: console.warn }
  const before = Object.keys(REPLACED).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const)
  current = surroundings
  for (const [name, value] of Object.entries(REPLACED))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  Date.now = wallNow
  console.warn = (text: unknown) => ambient().warn(String(text))
  try {
    return await body()
  } finally {
    Date.now = real.now
    console.warn = real.warn
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor)
      else Reflect.deleteProperty(globalThis, name)
    }
    current = null
  }
}
