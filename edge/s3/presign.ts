import type { Env } from '../env.ts'

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
const encoder = new TextEncoder()

const hex = (bytes: ArrayBuffer): string => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
const hmac = async (key: Uint8Array | ArrayBuffer, text: string): Promise<ArrayBuffer> => {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return crypto.subtle.sign('HMAC', imported, encoder.encode(text))
}
/** RFC 3986 unreserved characters stay, everything else is escaped: what SigV4 calls UriEncode. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

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
  const address = new URL(`${target.endpoint}/${encode(target.bucket)}/${key.split('/').map(encode).join('/')}`)
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const day = stamp.slice(0, 8)
  const scope = `${day}/${REGION}/s3/aws4_request`
  const signed = Object.entries({ ...headers, host: address.host }).sort(([a], [b]) => (a < b ? -1 : 1))
  const names = signed.map(([name]) => name).join(';')
  const parameters = Object.entries({
    ...query,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${target.accessKeyId}/${scope}`,
    'X-Amz-Date': stamp,
    'X-Amz-Expires': String(PRESIGN_SECONDS),
    'X-Amz-SignedHeaders': names,
  })
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const canonical = [
    'PUT',
    address.pathname,
    parameters,
    ...signed.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    'UNSIGNED-PAYLOAD',
  ].join('\n')
  const digest = hex(await crypto.subtle.digest('SHA-256', encoder.encode(canonical)))
  let secret = await hmac(encoder.encode(`AWS4${target.secretAccessKey}`), day)
  for (const part of [REGION, 's3', 'aws4_request']) secret = await hmac(secret, part)
  const signature = hex(await hmac(secret, ['AWS4-HMAC-SHA256', stamp, scope, digest].join('\n')))
  return { url: `${address.origin}${address.pathname}?${parameters}&X-Amz-Signature=${signature}`, headers }
}
