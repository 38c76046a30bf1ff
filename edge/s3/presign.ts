import type { Env } from '../env.ts'
import { ALGORITHM, canonicalPath, canonicalQuery, encodeStrictly, sign, signingKey, stringToSign } from './sigv4.ts'

/** An S3 endpoint that nodes can reach, path style. */
export interface S3Target {
  endpoint: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}

/** The configured endpoint, or null where uploads take the Worker's route. All four settings belong together. */
export const s3Target = (env: Env): S3Target | null => {
  const { S3_ENDPOINT: endpoint, S3_BUCKET: bucket, S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = env
  return endpoint && bucket && accessKeyId && secretAccessKey
    ? { endpoint: endpoint.replace(/\/$/, ''), bucket, accessKeyId, secretAccessKey }
    : null
}

const REGION = 'auto'
const PRESIGN_SECONDS = 15 * 60

/**
 * A presigned PUT (AWS Signature Version 4, query authentication): good for 15 minutes, for one key, with exactly the
 * given headers. `if-none-match: *` among the signed headers makes the object write-once (I2: nobody overwrites).
 */
export const presignPut = async (
  target: S3Target,
  key: string,
  headers: Record<string, string>,
  query: Record<string, string>,
  nowMs: number,
): Promise<{ url: string; headers: Record<string, string> }> => {
  const address = new URL(`${target.endpoint}/${encodeStrictly(target.bucket)}/${key.split('/').map(encodeStrictly).join('/')}`)
  const path = canonicalPath(address.pathname)
  if (path === null) throw new Error(`${address.pathname} is no path that can be signed`)
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const scope = { date: time.slice(0, 8), region: REGION, service: 's3' }
  const signed = Object.entries({ ...headers, host: address.host }).sort(([a], [b]) => (a < b ? -1 : 1))
  const parameters = canonicalQuery(
    Object.entries({
      ...query,
      'X-Amz-Algorithm': ALGORITHM,
      'X-Amz-Credential': `${target.accessKeyId}/${scope.date}/${REGION}/s3/aws4_request`,
      'X-Amz-Date': time,
      'X-Amz-Expires': String(PRESIGN_SECONDS),
      'X-Amz-SignedHeaders': signed.map(([name]) => name).join(';'),
    }),
  )
  const text = await stringToSign({ method: 'PUT', path, query: parameters, headers: signed, payload: 'UNSIGNED-PAYLOAD', time }, scope)
  const signature = await sign(await signingKey(target.secretAccessKey, scope), text)
  return { url: `${address.origin}${address.pathname}?${parameters}&X-Amz-Signature=${signature}`, headers }
}
