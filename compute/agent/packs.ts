import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { Lease } from '../../edge/contract/node.ts'
import type { Produced } from '../engines/engine.ts'
import { uploadFile } from '../results/upload.ts'
import { Fenced, type Requests } from './requests.ts'

/** A result to make a pack of, while its files are still in the spool. */
export interface PackRequest {
  lease: Lease
  produced: Produced
  schema: ResultSchema
  /** The attempt's own folder; the pack goes there too. */
  folder: string
  signal: AbortSignal
}

export interface PackerOptions {
  edge: URL
  requests: Pick<Requests, 'grant'>
  pack(request: PackRequest): Promise<{ path: string; bytes: number; sha256: string } | null>
  log(line: string): void
}

export interface Packer {
  /** Makes and uploads one pack, after those asked for before. The item of `packed` as JSON, or null where there is none. Never throws. */
  make(request: { lease: Lease; produced: Produced; schema: ResultSchema; folder: string }): Promise<string | null>
  /** Resolves when nothing is being packed. */
  idle(): Promise<void>
  stop(): void
}

/** Packs are made one at a time: nobody waits for one, and jobs need the machine more. */
export const makePacker = (options: PackerOptions): Packer => {
  const stop = new AbortController()
  let last: Promise<unknown> = Promise.resolve()

  const one = async (request: Parameters<Packer['make']>[0]): Promise<string | null> => {
    const { signal } = stop
    if (signal.aborted) return null
    const { tenant, job, attempt } = request.lease
    try {
      const pack = await options.pack({ ...request, signal })
      if (pack === null) return null
      const [put] = await options.requests.grant(request.lease, [{ kind: 'pack', n: 0, bytes: pack.bytes, sha256: pack.sha256 }], signal)
      if (!put) return null
      const upload = await uploadFile(pack.path, pack.bytes, put, { edge: options.edge, signal })
      return JSON.stringify({ tenant, job, attempt, bytes: pack.bytes, sha256: pack.sha256, upload })
    } catch (fault) {
      // A result without a pack is whole: the browser then reads Parquet.
      if (!signal.aborted && !(fault instanceof Fenced))
        options.log(`no pack for job ${job}: ${fault instanceof Error ? fault.message : String(fault)}`)
      return null
    }
  }
  return {
    make: (request) => {
      const mine = last.then(() => one(request))
      last = mine
      return mine
    },
    idle: async () => {
      await last
    },
    stop: () => stop.abort(),
  }
}
