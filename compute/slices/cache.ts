import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { TenantId } from '../../edge/contract/ids.ts'
import type { SliceFile } from '../../edge/contract/slices.ts'
import { SliceFault } from './faults.ts'

export type Fetch = (url: URL, init?: BunFetchRequestInit) => Promise<Response>

/** A read link lives this long (GRANT_SECONDS of the protocol), so a slower download is pointless. */
const DOWNLOAD_MILLISECONDS = 15 * 60_000

interface Entry {
  path: string
  bytes: number
  /** Slices that need it now; such a file stays. */
  pins: number
}

export interface CacheOptions {
  folder: string
  maxBytes: number
  edge: URL
  fetch: Fetch
  /** Told when a file is about to go, so that whoever has it open lets go. */
  evicted: (tenant: string, file: string) => void
}

/**
 * Files of results on this machine, a folder a tenant, named by their SHA-256 and checked against it as they arrive. The
 * files used longest ago go when the bytes of all tenants together pass the limit.
 */
export class FileCache {
  readonly #options: CacheOptions
  /** By `tenant/file`, the one used last at the end. */
  readonly #entries = new Map<string, Entry>()
  readonly #arriving = new Map<string, Promise<void>>()

  constructor(options: CacheOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    const found: { key: string; entry: Entry; used: number }[] = []
    for (const tenant of readdirSync(options.folder)) {
      const files = join(options.folder, tenant, 'files')
      for (const file of statSync(files, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(files) : []) {
        const path = join(files, file)
        // What was not renamed did not arrive whole.
        if (!/^[0-9a-f]{64}\.(parquet|duckdb)$/.test(file)) rmSync(path, { force: true })
        else {
          const { size, mtimeMs } = statSync(path)
          found.push({ key: `${tenant}/${file}`, entry: { path, bytes: size, pins: 0 }, used: mtimeMs })
        }
      }
    }
    for (const { key, entry } of found.sort((a, b) => a.used - b.used)) this.#entries.set(key, entry)
    this.#evict()
  }

  /** The tenant's own folder, which is its child's working folder. */
  folderOf(tenant: TenantId): string {
    return join(this.#options.folder, tenant)
  }

  get bytes(): number {
    let sum = 0
    for (const entry of this.#entries.values()) sum += entry.bytes
    return sum
  }

  /** Brings the files here and keeps them until `release`. Answers their names relative to the tenant's folder. */
  async hold(tenant: TenantId, files: SliceFile[], deadline: Promise<never>): Promise<{ names: string[]; release: () => void }> {
    const keys = files.map((file) => `${tenant}/${file.sha256}.${file.kind === 'pack' ? 'duckdb' : 'parquet'}`)
    const arrivals = files.map((file, n) => this.#arrive(tenant, keys[n] ?? '', file))
    // A download that outlives this question goes on, for the next one.
    await Promise.race([Promise.all(arrivals), deadline])
    const entries = keys.flatMap((key) => this.#touch(key))
    for (const entry of entries) entry.pins++
    return {
      names: keys.map((key) => `files/${key.slice(tenant.length + 1)}`),
      release: () => {
        for (const entry of entries) entry.pins--
      },
    }
  }

  #touch(key: string): Entry[] {
    const entry = this.#entries.get(key)
    if (entry === undefined) return []
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return [entry]
  }

  #arrive(tenant: TenantId, key: string, file: SliceFile): Promise<void> {
    if (this.#entries.has(key)) return Promise.resolve()
    const known = this.#arriving.get(key)
    if (known !== undefined) return known
    const arrival = this.#download(tenant, key, file).finally(() => this.#arriving.delete(key))
    this.#arriving.set(key, arrival)
    // Whoever asked may have gone by the time it fails.
    arrival.catch(() => undefined)
    return arrival
  }

  async #download(tenant: TenantId, key: string, file: SliceFile): Promise<void> {
    const folder = join(this.folderOf(tenant), 'files')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const path = join(this.#options.folder, tenant, 'files', key.slice(tenant.length + 1))
    const partial = `${path}.${crypto.randomUUID()}.partial`
    const hash = new Bun.CryptoHasher('sha256')
    let bytes = 0
    try {
      const response = await this.#options.fetch(new URL(file.url, this.#options.edge), {
        headers: file.headers,
        signal: AbortSignal.timeout(DOWNLOAD_MILLISECONDS),
      })
      if (!response.ok || response.body === null)
        throw new SliceFault('unavailable', `a file of the result was refused with status ${response.status}`)
      const sink = Bun.file(partial).writer({ highWaterMark: 1024 * 1024 })
      try {
        for await (const chunk of response.body) {
          bytes += chunk.byteLength
          if (bytes > file.bytes) throw new SliceFault('unavailable', `a file of the result is longer than its ${file.bytes} bytes`)
          hash.update(chunk)
          sink.write(chunk)
          await sink.flush()
        }
      } finally {
        await sink.end()
      }
      if (bytes !== file.bytes || hash.digest('hex') !== file.sha256)
        throw new SliceFault('unavailable', 'a file of the result does not have the bytes that its record names')
      renameSync(partial, path)
    } catch (error) {
      rmSync(partial, { force: true })
      if (error instanceof SliceFault) throw error
      throw new SliceFault(
        'unavailable',
        `a file of the result could not be fetched: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
    this.#entries.set(key, { path, bytes, pins: 0 })
    this.#evict()
  }

  /** The newest stays, whatever its size: somebody waits for it. */
  #evict(): void {
    let sum = this.bytes
    const newest = [...this.#entries.keys()].at(-1)
    for (const [key, entry] of this.#entries) {
      if (sum <= this.#options.maxBytes) return
      if (entry.pins > 0 || key === newest) continue
      const [tenant = '', file = ''] = key.split('/')
      this.#options.evicted(tenant, file)
      rmSync(entry.path, { force: true })
      this.#entries.delete(key)
      sum -= entry.bytes
    }
  }
}
