import { mkdirSync, rmSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import type { TenantId } from '../../edge/contract/ids.ts'
import { SINGLE_PUT_BYTES, type SliceMessage } from '../../edge/contract/node.ts'
import { type Fetch, FileCache } from './cache.ts'
import { faultOf, SliceFault } from './faults.ts'
import type { ChildAnswer, LocalResult, SliceOutcome } from './protocol.ts'
import { Sandbox } from './sandbox.ts'
import { storeAnswer } from './store.ts'

export type { SliceOutcome }

export interface SliceDeps {
  /** Where links without a host begin. */
  edge: URL
  fetch: Fetch
  /** Of the slices alone; made when absent. */
  cacheFolder: string
}

export interface SlicerLimits {
  /** Bytes of files kept for all tenants together. */
  cacheBytes: number
  /** Memory of one tenant's child. */
  processBytes: number
  threads: number
  spillBytes: number
  /** Children at once, each of another tenant. */
  tenants: number
  /** A longer answer is stored in parts. */
  singlePutBytes: number
}

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** A child keeps three results open (child.ts); their buffers together stay below its own limit. */
const SHARE_OF_ONE_RESULT = 0.22
/** A child that nobody asked for so long gives its memory back. */
const IDLE_MILLISECONDS = 10 * 60_000

export const defaultLimits = (): SlicerLimits => ({
  cacheBytes: 8 * GIB,
  processBytes: Math.max(GIB, Math.min(3 * GIB, Math.floor(totalmem() / 4))),
  threads: Math.max(1, availableParallelism()),
  spillBytes: 8 * GIB,
  tenants: 2,
  singlePutBytes: SINGLE_PUT_BYTES,
})

interface Child {
  sandbox: Sandbox
  /** Questions that have it or are about to ask. */
  users: number
  idle: Timer | null
}

/** Answers slices on a node: fetches the result's files, asks the tenant's own locked child, stores long answers. */
export class Slicer {
  readonly #deps: SliceDeps
  readonly #limits: SlicerLimits
  readonly #cache: FileCache
  /** The one asked last at the end. */
  readonly #children = new Map<TenantId, Child>()
  readonly #keysOf = new Map<string, Set<string>>()
  /** Results whose pack is not what it should be. */
  readonly #badPacks = new Set<string>()
  readonly #vacancy: (() => void)[] = []
  #closed = false

  constructor(deps: SliceDeps, limits: Partial<SlicerLimits> = {}) {
    this.#deps = deps
    this.#limits = { ...defaultLimits(), ...limits }
    this.#cache = new FileCache({
      folder: deps.cacheFolder,
      maxBytes: this.#limits.cacheBytes,
      edge: deps.edge,
      fetch: deps.fetch,
      evicted: (tenant, file) => this.#forget(tenant, file),
    })
  }

  /** Never throws: what went wrong is the outcome. */
  async run(message: SliceMessage): Promise<SliceOutcome> {
    const folder = this.#cache.folderOf(message.tenant)
    const until = Date.now() + message.timeout_seconds * 1000
    try {
      const pack = message.files.filter((file) => file.kind === 'pack')
      const parquet = message.files.filter((file) => file.kind === 'parquet')
      if (pack.length === 1 && !this.#badPacks.has(message.result)) {
        const answer = await this.#answer(message, pack, until)
        if (answer.ok || answer.code !== 'unavailable' || parquet.length === 0) return answer
        if (!this.#badPacks.has(message.result)) return answer
      }
      if (parquet.length === 0) throw new SliceFault('unavailable', 'the result has no file that a slice can read')
      return await this.#answer(message, parquet, until)
    } catch (error) {
      return faultOf(error, folder)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const wake of this.#vacancy.splice(0)) wake()
    await Promise.all([...this.#children.values()].map(({ sandbox }) => sandbox.close()))
  }

  async #answer(message: SliceMessage, files: SliceMessage['files'], until: number): Promise<SliceOutcome> {
    const { promise: deadline, reject } = Promise.withResolvers<never>()
    deadline.catch(() => undefined)
    const timer = setTimeout(
      () =>
        reject(
          new SliceFault(
            'slice_timeout',
            'the slice could not begin in time (its files are still on their way, or other tenants are served); ask again',
          ),
        ),
      Math.max(0, until - Date.now()),
    )
    try {
      const held = await this.#cache.hold(message.tenant, files, deadline)
      try {
        const child = await this.#childOf(message.tenant, deadline)
        return await this.#ask(child, message, files, held.names, until)
      } finally {
        held.release()
      }
    } finally {
      clearTimeout(timer)
    }
  }

  async #ask(child: Child, message: SliceMessage, files: SliceMessage['files'], names: string[], until: number): Promise<SliceOutcome> {
    const isPack = files[0]?.kind === 'pack'
    const digest = new Bun.CryptoHasher('sha256').update(files.map((file) => file.sha256).join(' ')).digest('hex')
    const result: LocalResult = {
      key: `${message.result}-${digest.slice(0, 32)}`,
      schema: message.schema,
      rows: message.rows,
      pack: isPack ? (names[0] ?? null) : null,
      parquet: isPack ? [] : names,
    }
    for (const name of names) {
      const at = `${message.tenant}/${name}`
      this.#keysOf.set(at, (this.#keysOf.get(at) ?? new Set()).add(result.key))
    }
    const answerFile = `answers/${crypto.randomUUID()}`
    const path = join(this.#cache.folderOf(message.tenant), answerFile)
    try {
      const answer = await child.sandbox.run(
        {
          result,
          query: message.query,
          scope: message.scope,
          format: message.format,
          hash: message.hash,
          maxBodyBytes: message.max_body_bytes,
          answerFile,
        },
        Math.max(1, until - Date.now()),
      )
      return await this.#outcome(answer, message, path)
    } finally {
      rmSync(path, { force: true })
      this.#rest(message.tenant, child)
    }
  }

  async #outcome(answer: ChildAnswer, message: SliceMessage, path: string): Promise<SliceOutcome> {
    if (answer.ok && 'stored' in answer)
      return storeAnswer(path, message.put, { ...this.#deps, singlePutBytes: this.#limits.singlePutBytes })
    if (answer.ok) return { ok: true, body: answer.body }
    const { code, detail } = answer
    if (code !== 'pack_unusable') return { ok: false, code, detail }
    this.#badPacks.add(message.result)
    return { ok: false, code: 'unavailable', detail }
  }

  async #childOf(tenant: TenantId, deadline: Promise<never>): Promise<Child> {
    for (;;) {
      if (this.#closed) throw new SliceFault('unavailable', 'the node is stopping')
      const found = this.#children.get(tenant)
      if (found?.sandbox.alive) {
        this.#children.delete(tenant)
        this.#children.set(tenant, found)
        if (found.idle !== null) clearTimeout(found.idle)
        found.idle = null
        found.users++
        return found
      }
      this.#children.delete(tenant)
      if (this.#children.size < this.#limits.tenants) return this.#spawn(tenant)
      // I6: a child is never handed to another tenant: the one idle longest ends, and a new process begins.
      const idle = [...this.#children].find(([, child]) => child.users === 0)
      if (idle === undefined) await Promise.race([new Promise<void>((resolve) => this.#vacancy.push(resolve)), deadline])
      else {
        this.#children.delete(idle[0])
        await idle[1].sandbox.close()
      }
    }
  }

  #spawn(tenant: TenantId): Child {
    const folder = this.#cache.folderOf(tenant)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const sandbox = new Sandbox({
      parent: process.pid,
      folder,
      threads: this.#limits.threads,
      memoryLimitBytes: Math.floor(this.#limits.processBytes * SHARE_OF_ONE_RESULT),
      processLimitBytes: this.#limits.processBytes,
      maxSpillBytes: this.#limits.spillBytes,
    })
    const child: Child = { sandbox, users: 1, idle: null }
    this.#children.set(tenant, child)
    return child
  }

  #rest(tenant: TenantId, child: Child): void {
    child.users--
    if (child.users > 0 || this.#closed) return
    this.#vacancy.shift()?.()
    if (child.idle !== null) clearTimeout(child.idle)
    child.idle = setTimeout(() => {
      if (child.users > 0) return
      if (this.#children.get(tenant) === child) this.#children.delete(tenant)
      void child.sandbox.close()
    }, IDLE_MILLISECONDS)
    child.idle.unref()
  }

  #forget(tenant: string, file: string): void {
    const at = `${tenant}/files/${file}`
    for (const key of this.#keysOf.get(at) ?? [])
      for (const [owner, { sandbox }] of this.#children) if (owner === tenant) sandbox.forget(key)
    this.#keysOf.delete(at)
  }
}

const slicers = new Map<string, Slicer>()

/** One slicer for each cache folder of this process; `closeSlicers` ends their children. */
export const runSlice = (message: SliceMessage, deps: SliceDeps): Promise<SliceOutcome> => {
  let slicer = slicers.get(deps.cacheFolder)
  if (slicer === undefined) {
    slicer = new Slicer(deps)
    slicers.set(deps.cacheFolder, slicer)
  }
  return slicer.run(message)
}

export const closeSlicers = async (): Promise<void> => {
  const all = [...slicers.values()]
  slicers.clear()
  await Promise.all(all.map((slicer) => slicer.close()))
}
