import type { Family, JobId, SessionId, TenantId } from '../contract/ids.ts'
import { resultOf } from '../contract/ids.ts'
import { dataKey, packKey } from '../contract/keys.ts'
import { type PutGrant, SINGLE_PUT_BYTES, type UploadedFile } from '../contract/node.ts'
import type { Env } from '../env.ts'
import { checkFooter } from '../iceberg/footer.ts'
import { signGrant } from '../identity/grants.ts'
import type { Completion } from '../ledger/finish.ts'
import { presignPut, s3Target } from '../s3/presign.ts'
import { partsOf, uploadsOf } from '../storage/multipart.ts'
import type { ObjectsPort } from './ports.ts'

interface Place {
  tenant: TenantId
  family: Family
  job: JobId
  attempt: number
  session: SessionId
}
interface Wanted {
  kind: 'data' | 'pack'
  n: number
  bytes: number
  sha256: string
}

/** The path of the Worker's own route for a node's objects; the grant in the header says which object. */
export const NODE_OBJECTS_PATH = '/node/v1/objects'
export const GRANT_HEADER = 'x-scarab-grant'

/** Objects of attempts on R2. Every key is composed here (architecture, section 3, step 5); a node only ever sees an address. */
export const r2Objects = (env: Env): ObjectsPort => {
  const keyOf = (place: Pick<Place, 'tenant' | 'family' | 'job' | 'attempt'>, file: { kind: 'data' | 'pack'; n: number }): string =>
    file.kind === 'pack'
      ? packKey(place.tenant, resultOf(place.job))
      : dataKey(place.tenant, place.family, place.job, place.attempt, file.n)

  const workerPut = async (place: Place, file: Wanted, key: string, upload: string | null): Promise<PutGrant> => {
    const { tenant, job, attempt, session } = place
    const base = { key, mode: 'put' as const, tenant, job, attempt, session }
    const now = Date.now()
    if (upload === null) {
      const grant = await signGrant(env.SCARAB_SECRET, { ...base, bytes: file.bytes, sha256: file.sha256 }, now)
      return { kind: file.kind, n: file.n, url: NODE_OBJECTS_PATH, headers: { [GRANT_HEADER]: grant }, upload: null, parts: [] }
    }
    const parts: PutGrant['parts'] = []
    for (const { part, bytes } of partsOf(file.bytes)) {
      const grant = await signGrant(env.SCARAB_SECRET, { ...base, bytes, upload, part }, now)
      parts.push({ part, url: NODE_OBJECTS_PATH, headers: { [GRANT_HEADER]: grant } })
    }
    return { kind: file.kind, n: file.n, url: NODE_OBJECTS_PATH, headers: {}, upload, parts }
  }

  const storagePut = async (file: Wanted, key: string, upload: string | null): Promise<PutGrant | null> => {
    const target = s3Target(env)
    if (!target) return null
    if (upload === null) {
      const { url, headers } = await presignPut(target, key, { 'if-none-match': '*' }, {}, Date.now())
      return { kind: file.kind, n: file.n, url, headers, upload: null, parts: [] }
    }
    const parts: PutGrant['parts'] = []
    for (const { part } of partsOf(file.bytes)) {
      const { url, headers } = await presignPut(target, key, {}, { partNumber: String(part), uploadId: upload }, Date.now())
      parts.push({ part, url, headers })
    }
    return { kind: file.kind, n: file.n, url: '', headers: {}, upload, parts }
  }

  const complete = uploadsOf(env.RESULTS)
  const finishUpload = async (key: string, { upload, parts }: UploadedFile): Promise<string | null> =>
    upload === null ? null : complete(key, upload, parts)

  return {
    async grant(place, files) {
      const puts: PutGrant[] = []
      for (const file of files) {
        const key = keyOf(place, file)
        const upload = file.bytes > SINGLE_PUT_BYTES ? (await env.RESULTS.createMultipartUpload(key)).uploadId : null
        puts.push((await storagePut(file, key, upload)) ?? (await workerPut(place, file, key, upload)))
      }
      return puts
    },

    async verify({ tenant, family }, completion: Completion, uploads) {
      const { job, attempt, manifest, inline } = completion
      for (const file of manifest.files) {
        if (inline) {
          if (inline.parquet.length !== file.bytes)
            return `file ${file.n} was announced with ${file.bytes} bytes and has ${inline.parquet.length}`
          const { parquet } = inline
          const read = async (offset: number, length: number): Promise<Uint8Array> => parquet.slice(offset, offset + length)
          const checked = await checkFooter(read, file.bytes, manifest.schema, file.rows)
          if (!checked.ok) return `file ${file.n}: ${checked.detail}`
          continue
        }
        if (family === null) return `file ${file.n} has no place`
        const key = dataKey(tenant, family, job, attempt, file.n)
        const upload = uploads.find(({ n }) => n === file.n)
        if (upload) {
          const wrong = await finishUpload(key, upload)
          if (wrong !== null) return wrong
        }
        const head = await env.RESULTS.head(key)
        if (!head) return `file ${file.n} was not uploaded`
        if (head.size !== file.bytes) return `file ${file.n} was announced with ${file.bytes} bytes and has ${head.size}`
        const read = async (offset: number, length: number): Promise<Uint8Array> => {
          const body = await env.RESULTS.get(key, { range: { offset, length } })
          if (!body || !('arrayBuffer' in body)) throw new Error(`${key} went away`)
          return new Uint8Array(await body.arrayBuffer())
        }
        const checked = await checkFooter(read, file.bytes, manifest.schema, file.rows)
        if (!checked.ok) return `file ${file.n}: ${checked.detail}`
      }
      const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0)
      return rows === manifest.rows ? null : `the completion says ${manifest.rows} rows, its files ${rows}`
    },

    async verifyPack({ tenant, job }, pack, upload) {
      const key = packKey(tenant, resultOf(job))
      if (upload) {
        const wrong = await finishUpload(key, upload)
        if (wrong !== null) return wrong
      }
      const head = await env.RESULTS.head(key)
      if (!head) return 'the pack was not uploaded'
      return head.size === pack.bytes ? null : `the pack was announced with ${pack.bytes} bytes and has ${head.size}`
    },
  }
}
