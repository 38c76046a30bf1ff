import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { icebergRead } from 'icebird'
import { z } from 'zod'
import type { Client } from './client.ts'

const Loaded = z.object({
  config: z.record(z.string(), z.string()),
  metadata: z.looseObject({ location: z.string() }),
})
/** How an independent reader spells `s3://lake/…` as an address. */
const READER_HOST = 'lake.s3.amazonaws.com'

/** Range header of a read. */
const rangeOf = (init: RequestInit | undefined): string | undefined => new Headers(init?.headers).get('range') ?? undefined

/**
 * All rows of a family, read by an independent reader through `/iceberg/v1` and the credentials it gives out; an empty
 * list where nothing was ever committed. The reader cannot sign requests, so its `fetch` is lent an S3 client meanwhile.
 */
export const readFamily = async (client: Client, tenant: string, family: string): Promise<Record<string, unknown>[]> => {
  const [namespace, table] = family.split('.')
  const answer = await client.ask(`/iceberg/v1/${tenant}/namespaces/${namespace}/tables/${table}`)
  if (answer.status === 404) return []
  if (!answer.ok) throw new Error(`${family}: ${answer.status} ${await answer.text()}`)
  const { config, metadata } = Loaded.parse(await answer.json())
  const s3 = new S3Client({
    endpoint: client.origin,
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: {
      accessKeyId: config['s3.access-key-id'] ?? '',
      secretAccessKey: config['s3.secret-access-key'] ?? '',
      sessionToken: config['s3.session-token'] ?? '',
    },
  })
  const own = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.host !== READER_HOST) return own(input, init)
    const Range = rangeOf(init)
    const object = await s3.send(new GetObjectCommand({ Bucket: 'lake', Key: url.pathname.slice(1), ...(Range ? { Range } : {}) }))
    const bytes = (await object.Body?.transformToByteArray()) ?? new Uint8Array()
    return new Response(init?.method === 'HEAD' ? null : bytes.slice(), {
      status: Range ? 206 : 200,
      headers: { 'content-length': String(bytes.length), 'accept-ranges': 'bytes' },
    })
  }
  try {
    const rows: unknown = await icebergRead({ tableUrl: `https://${READER_HOST}/t`, metadata: metadata as never })
    return z.array(z.record(z.string(), z.unknown())).parse(rows)
  } catch (fault) {
    // The reader has no word for a snapshot whose files are all gone.
    if (String(fault).includes('No data manifest files found')) return []
    throw fault
  } finally {
    globalThis.fetch = own
    s3.destroy()
  }
}

/** How many rows of a family each job has. */
export const rowsPerJob = async (client: Client, tenant: string, family: string): Promise<Map<string, number>> => {
  const counts = new Map<string, number>()
  for (const { job_id } of await readFamily(client, tenant, family)) counts.set(String(job_id), (counts.get(String(job_id)) ?? 0) + 1)
  return counts
}
