import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { TenantId } from '../contract/ids.ts'
import { macKeys, toBase64Url } from '../identity/secrets.ts'
import { fakeBucket } from './fake-bucket.ts'
import { type Handmade, signed } from './fake-client.ts'
import { answerS3, type S3Deps } from './handler.ts'
import { type Credentials, openSession, vend } from './session.ts'
import { SigningKeys } from './verify.ts'

const SECRET = toBase64Url(new Uint8Array(32).fill(7))
const acme = TenantId.parse('acme')
const PREFIX = 't/acme/pay.daily/'
const ODD = [`${PREFIX}data/a =:+,%&é'()!~*`, `${PREFIX}data//double`, `${PREFIX}data/#?$;[]@日本`, `${PREFIX}data/50%25`]

const world = async () => {
  const clock = { now: Date.now() }
  const bucket = fakeBucket(() => clock.now)
  await bucket.put(`${PREFIX}data/x.parquet`, '0123456789')
  await bucket.put(`${PREFIX}metadata/empty`, '')
  await bucket.put(`${PREFIX}metadata/v1.json`, '{}', { contentType: 'application/json' })
  for (const key of ODD) await bucket.put(key, key)
  for (const key of ['t/acme2/x', 't/globex/pay.daily/x', 't/acme/other.t/x', 't/acme/pay.daily2/x', 'root'])
    await bucket.put(key, 'secret')
  const lines: unknown[] = []
  const deps: S3Deps = { bucket, secrets: SECRET, now: () => clock.now, keys: new SigningKeys(), log: (entry) => void lines.push(entry) }
  const credentials = await vend(SECRET, { tenant: acme, prefix: PREFIX }, clock.now)
  return { clock, bucket, deps, credentials, lines }
}
type World = Awaited<ReturnType<typeof world>>

/** The real SDK, whose requests go to the handler and not to a network. */
const sdk = ({ deps }: World, { accessKeyId, secretAccessKey, sessionToken }: Credentials, host = '127.0.0.1:8787'): S3Client =>
  new S3Client({
    endpoint: `http://${host}`,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    requestHandler: {
      handle: async (sent: {
        method: string
        path: string
        query?: Record<string, string | string[] | null>
        headers: Record<string, string>
      }) => {
        const pairs = Object.entries(sent.query ?? {}).map(
          ([name, value]) => `${encodeURIComponent(name)}${value === null ? '' : `=${encodeURIComponent(String(value))}`}`,
        )
        const url = `http://${host}${sent.path}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`
        const response = await answerS3(new Request(url, { method: sent.method, headers: sent.headers }), deps)
        return {
          response: {
            statusCode: response.status,
            headers: Object.fromEntries(response.headers),
            body: response.body ?? undefined,
          },
        }
      },
    },
  })

const failure = async (promise: Promise<unknown>): Promise<[number | undefined, string]> => {
  try {
    await promise
    return [200, 'ok']
  } catch (fault) {
    if (fault instanceof S3ServiceException) return [fault.$metadata.httpStatusCode, fault.name]
    throw fault
  }
}

const ask = async (w: World, target: string, more: Handmade = {}) => {
  const response = await answerS3(await signed(target, w.credentials, w.clock.now, more), w.deps)
  const text = await response.text()
  return { status: response.status, code: /<Code>(\w+)</.exec(text)?.[1] ?? null, text, headers: response.headers }
}
const X = `/lake/${PREFIX}data/x.parquet`

describe('the AWS SDK', () => {
  it('reads whole objects, parts and the end, under any key', async () => {
    const w = await world()
    const client = sdk(w, w.credentials)
    const get = async (Key: string, Range?: string) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: 'lake', Key, ...(Range === undefined ? {} : { Range }) }))
      return { text: await answer.Body?.transformToString(), range: answer.ContentRange, length: answer.ContentLength }
    }
    expect(await get(`${PREFIX}data/x.parquet`)).toEqual({ text: '0123456789', range: undefined, length: 10 })
    expect(await get(`${PREFIX}data/x.parquet`, 'bytes=2-4')).toEqual({ text: '234', range: 'bytes 2-4/10', length: 3 })
    expect(await get(`${PREFIX}data/x.parquet`, 'bytes=-3')).toEqual({ text: '789', range: 'bytes 7-9/10', length: 3 })
    for (const key of ODD) expect((await get(key)).text, key).toBe(key)
    expect(await failure(get(`${PREFIX}data/x.parquet`, 'bytes=10-'))).toEqual([416, 'InvalidRange'])
    expect(await failure(get(`${PREFIX}nothing`))).toEqual([404, 'NoSuchKey'])
  })

  it('asks for the head of an object', async () => {
    const w = await world()
    const client = sdk(w, w.credentials)
    const head = (Key: string) => client.send(new HeadObjectCommand({ Bucket: 'lake', Key }))
    expect(await head(`${PREFIX}metadata/v1.json`)).toMatchObject({
      ContentLength: 2,
      ContentType: 'application/json',
      AcceptRanges: 'bytes',
    })
    expect(await head(`${PREFIX}metadata/empty`)).toMatchObject({ ContentLength: 0 })
    expect((await failure(head(`${PREFIX}nothing`)))[0]).toBe(404)
    expect((await failure(head('t/acme2/x')))[0]).toBe(403)
  })

  it('walks a list page by page, with and without folders', async () => {
    const w = await world()
    const client = sdk(w, w.credentials)
    const keys: (string | undefined)[] = []
    let token: string | undefined
    let pages = 0
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: 'lake',
          Prefix: PREFIX,
          MaxKeys: 2,
          EncodingType: 'url',
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      )
      keys.push(...(page.Contents ?? []).map(({ Key }) => (Key === undefined ? undefined : decodeURIComponent(Key))))
      token = page.NextContinuationToken
      pages += 1
    } while (token !== undefined)
    expect(keys).toEqual([...ODD, `${PREFIX}data/x.parquet`, `${PREFIX}metadata/empty`, `${PREFIX}metadata/v1.json`].sort())
    expect(pages).toBe(4)
    const folders = await client.send(new ListObjectsV2Command({ Bucket: 'lake', Prefix: PREFIX, Delimiter: '/' }))
    expect(folders.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual([`${PREFIX}data/`, `${PREFIX}metadata/`])
    expect(folders).toMatchObject({ KeyCount: 2, IsTruncated: false, Name: 'lake' })
  })

  it("gets 403 for every other tenant's prefix, for roots, and for writing", async () => {
    const w = await world()
    const client = sdk(w, w.credentials)
    for (const Key of ['t/acme2/x', 't/globex/pay.daily/x', 't/acme/other.t/x', 't/acme/pay.daily2/x', 'root', `${PREFIX}../other.t/x`])
      expect(await failure(client.send(new GetObjectCommand({ Bucket: 'lake', Key }))), Key).toMatchObject([403, expect.any(String)])
    for (const Prefix of ['', 't/', 't/acm', 't/acme', 't/acme/', 't/acme2/', 't/globex/', PREFIX.slice(0, -1), `${PREFIX}../`])
      expect(await failure(client.send(new ListObjectsV2Command({ Bucket: 'lake', Prefix }))), Prefix).toEqual([403, 'AccessDenied'])
    for (const Key of [`${PREFIX}data/x.parquet`, `${PREFIX}new`, 't/globex/new'])
      expect(await failure(client.send(new PutObjectCommand({ Bucket: 'lake', Key, Body: 'x' }))), Key).toEqual([403, 'AccessDenied'])
    expect(w.bucket.operations).toEqual([])
  })

  it('is told ExpiredToken with 403 when its hour is over, also where the key is cached', async () => {
    const w = await world()
    const get = () => sdk(w, w.credentials).send(new GetObjectCommand({ Bucket: 'lake', Key: `${PREFIX}data/x.parquet` }))
    await get()
    const old = await vend(SECRET, { tenant: acme, prefix: PREFIX }, w.clock.now - 3_601_000)
    expect(await failure(sdk(w, old).send(new GetObjectCommand({ Bucket: 'lake', Key: `${PREFIX}data/x.parquet` })))).toEqual([
      403,
      'ExpiredToken',
    ])
    w.clock.now += 3_600_000
    expect(await ask(w, X)).toMatchObject({ status: 403, code: 'ExpiredToken' })
  })

  it("cannot mix one session's token with another's key", async () => {
    const w = await world()
    const other = await vend(SECRET, { tenant: TenantId.parse('globex'), prefix: 't/globex/pay.daily/' }, w.clock.now)
    const key = { Bucket: 'lake', Key: `${PREFIX}data/x.parquet` }
    for (const [mixed, code] of [
      [{ ...w.credentials, sessionToken: other.sessionToken }, 'InvalidAccessKeyId'],
      [{ ...other, sessionToken: w.credentials.sessionToken }, 'InvalidAccessKeyId'],
      [{ ...w.credentials, secretAccessKey: other.secretAccessKey }, 'SignatureDoesNotMatch'],
      [{ ...other, accessKeyId: w.credentials.accessKeyId, sessionToken: w.credentials.sessionToken }, 'SignatureDoesNotMatch'],
      [other, 'AccessDenied'],
    ] as const)
      expect(await failure(sdk(w, mixed).send(new GetObjectCommand(key)))).toEqual([403, code])
  })
})

describe('a signed request', () => {
  it('of our own hand is taken', async () => {
    expect(await ask(await world(), X)).toMatchObject({ status: 200, text: '0123456789' })
  })

  it('may leave its payload unsigned, carry x-id, and an unsigned range', async () => {
    const w = await world()
    expect(await ask(w, `${X}?x-id=GetObject`, { payload: 'UNSIGNED-PAYLOAD', unsigned: { range: 'bytes=0-1' } })).toMatchObject({
      status: 206,
      text: '01',
    })
  })

  it.each<[string, Handmade, number, string]>([
    ['another path', { arrives: `/lake/${PREFIX}metadata/v1.json` }, 403, 'SignatureDoesNotMatch'],
    ['another query', { arrives: `${X}?x-id=GetObject` }, 403, 'SignatureDoesNotMatch'],
    ['another service', { service: 'sts' }, 400, 'AuthorizationHeaderMalformed'],
    ['another day', { date: '20200101' }, 400, 'AuthorizationHeaderMalformed'],
    ['an unsigned x-amz header', { unsigned: { 'x-amz-meta-a': '1' } }, 403, 'AccessDenied'],
    ['an unsigned host', { omit: ['host'] }, 403, 'AccessDenied'],
    ['no date', { omit: ['x-amz-date'] }, 403, 'AccessDenied'],
    ['no payload hash', { omit: ['x-amz-content-sha256'] }, 403, 'AccessDenied'],
    ['no session token', { omit: ['x-amz-security-token'] }, 403, 'InvalidToken'],
    ['the hash of a body', { payload: 'a'.repeat(64) }, 400, 'XAmzContentSHA256Mismatch'],
    ['a streaming body', { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' }, 400, 'XAmzContentSHA256Mismatch'],
    ['a header that did not arrive', { headers: { 'x-other': '1' }, unsigned: { 'x-other': '2' } }, 403, 'SignatureDoesNotMatch'],
    ['an accept-encoding that the platform rewrote', { headers: { 'accept-encoding': 'identity' } }, 403, 'SignatureDoesNotMatch'],
  ])('with %s is refused', async (_name, more, status, code) => {
    expect(await ask(await world(), X, more)).toMatchObject({ status, code })
  })

  it('is good for 15 minutes around its time', async () => {
    const w = await world()
    for (const minutes of [-14, 14]) expect((await ask(w, X, { at: w.clock.now + minutes * 60_000 })).status, String(minutes)).toBe(200)
    for (const minutes of [-16, 16]) expect((await ask(w, X, { at: w.clock.now + minutes * 60_000 })).code).toBe('RequestTimeTooSkewed')
  })

  it("with a signed accept-encoding is checked against the client's own, where the platform keeps it", async () => {
    const w = await world()
    const request = await signed(X, w.credentials, w.clock.now, { headers: { 'accept-encoding': 'identity' } })
    const rewritten = new Request(request, { headers: { ...Object.fromEntries(request.headers), 'accept-encoding': 'br, gzip' } })
    Object.defineProperty(rewritten, 'cf', { value: { clientAcceptEncoding: 'identity' } })
    expect((await answerS3(rewritten, w.deps)).status).toBe(200)
  })

  it('with a token that we did not make, or made for something else, is refused', async () => {
    const w = await world()
    const claims = { tenant: 'acme', prefix: 't/', mode: 'r' }
    const forge = async (purpose: 'grant' | 's3-token', header: object, more: object = {}) => {
      const [{ kid, key }] = await macKeys(SECRET, purpose)
      return await new SignJWT({
        ...claims,
        iss: 'scarab-edge',
        aud: 's3',
        jti: w.credentials.accessKeyId,
        exp: w.clock.now / 1_000 + 60,
        ...more,
      })
        .setProtectedHeader({ alg: 'HS256', typ: 'scarab-s3+jwt', kid, ...header })
        .sign(key)
    }
    const forged = [
      'x',
      await forge('grant', {}),
      await forge('s3-token', { typ: 'JWT' }),
      await forge('s3-token', {}, { aud: 'scarab' }),
      // Even under the right key: a prefix that is no folder of the tenant.
      await forge('s3-token', {}),
      await forge('s3-token', {}, { prefix: 't/acme' }),
      await forge('s3-token', {}, { prefix: 't/acme/', mode: 'rw' }),
    ]
    for (const sessionToken of forged) {
      expect((await openSession(SECRET, sessionToken, w.clock.now)).ok).toBe(false)
      expect(await failure(sdk(w, { ...w.credentials, sessionToken }).send(new GetObjectCommand({ Bucket: 'lake', Key: 'root' })))).toEqual(
        [403, 'InvalidToken'],
      )
    }
  })

  it('cannot leave the prefix by dots, however they are written', async () => {
    const w = await world()
    for (const target of ['..', '%2e%2e', '.%2E', '..%2F', '%2e%2e%2f', './../'].map((dots) => `/lake/${PREFIX}${dots}/other.t/x`)) {
      const answer = await ask(w, target)
      expect(answer.status, target).toBe(403)
      expect(answer.text).not.toContain('secret')
    }
    expect(w.bucket.operations).toEqual([])
  })

  it('for another bucket or parameter is refused', async () => {
    const w = await world()
    expect(await ask(w, `/pond/${PREFIX}data/x.parquet`)).toMatchObject({ status: 404, code: 'NoSuchBucket' })
    for (const parameter of ['acl', 'versionId=1', 'partNumber=1', 'response-content-type=text/html', 'uploads'])
      expect(await ask(w, `${X}?${parameter}`), parameter).toMatchObject({ status: 400, code: 'InvalidRequest' })
    const list = `/lake?list-type=2&prefix=${encodeURIComponent(PREFIX)}`
    expect(await ask(w, list)).toMatchObject({ status: 200 })
    for (const [parameter, code] of [
      ['max-keys=-1', 'InvalidArgument'],
      ['max-keys=x', 'InvalidArgument'],
      ['encoding-type=x', 'InvalidArgument'],
      ['continuation-token=x', 'InvalidArgument'],
      ['versions', 'InvalidRequest'],
      [`start-after=${'x'.repeat(1_025)}`, 'InvalidArgument'],
    ])
      expect(await ask(w, `${list}&${parameter}`), parameter).toMatchObject({ code })
    expect((await ask(w, `${list}&max-keys=0`)).text).toContain('<KeyCount>0</KeyCount>')
    expect(await ask(w, `/lake?prefix=${encodeURIComponent(PREFIX)}`)).toMatchObject({ code: 'InvalidRequest' })
  })

  it('is never taken from the address', async () => {
    const w = await world()
    const answer = await answerS3(new Request(`http://127.0.0.1${X}?X-Amz-Signature=${'0'.repeat(64)}&X-Amz-Credential=x`), w.deps)
    expect(answer.status).toBe(403)
  })

  it('of any other method is 403 without a look at it', async () => {
    const w = await world()
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await answerS3(new Request(`http://127.0.0.1${X}`, { method }), w.deps)
      expect([method, answer.status, /<Code>AccessDenied</.test(await answer.text())]).toEqual([method, 403, true])
    }
    expect(w.bucket.operations).toEqual([])
  })
})

describe('answers', () => {
  it('honour conditions', async () => {
    const w = await world()
    const etag = (await ask(w, X)).headers.get('etag') ?? ''
    const get = async (unsigned: Record<string, string>) => (await ask(w, X, { unsigned })).status
    expect(await get({ 'if-match': etag })).toBe(200)
    expect(await get({ 'if-match': etag.replaceAll('"', '') })).toBe(200)
    expect(await get({ 'if-match': '"other"' })).toBe(412)
    expect(await get({ 'if-match': '*' })).toBe(200)
    expect(await get({ 'if-none-match': etag })).toBe(304)
    expect(await get({ 'if-none-match': `"a", ${etag}` })).toBe(304)
    expect(await get({ 'if-none-match': '"other"' })).toBe(200)
    expect(await get({ 'if-modified-since': new Date(w.clock.now).toUTCString() })).toBe(304)
    expect(await get({ 'if-modified-since': 'nonsense' })).toBe(200)
    expect(await get({ 'if-unmodified-since': new Date(w.clock.now - 60_000).toUTCString() })).toBe(412)
    expect(await get({ 'if-match': '"other"', range: 'bytes=99-' })).toBe(412)
    expect((await ask(w, X, { method: 'HEAD', unsigned: { 'if-none-match': etag } })).status).toBe(304)
  })

  it('take one operation on object storage each, also with a range', async () => {
    const w = await world()
    await ask(w, X, { headers: { range: 'bytes=1-2' } })
    await ask(w, X)
    expect(w.bucket.operations).toEqual([`get ${PREFIX}data/x.parquet`, `get ${PREFIX}data/x.parquet`])
  })

  it('say 416 with the size, give several ranges whole, and an empty object empty', async () => {
    const w = await world()
    for (const range of ['bytes=10-', 'bytes=-0']) {
      const none = await ask(w, X, { headers: { range } })
      expect([none.status, none.code, none.headers.get('content-range')]).toEqual([416, 'InvalidRange', 'bytes */10'])
    }
    expect(await ask(w, X, { headers: { range: 'bytes=0-1,4-5' } })).toMatchObject({ status: 200, text: '0123456789' })
    expect(await ask(w, `/lake/${PREFIX}metadata/empty`)).toMatchObject({ status: 200, text: '' })
    expect(await ask(w, `/lake/${PREFIX}metadata/empty`, { headers: { range: 'bytes=0-' } })).toMatchObject({ status: 416 })
    expect(await ask(w, `/lake/${PREFIX}nothing`, { headers: { range: 'bytes=-0' } })).toMatchObject({ status: 404 })
    expect(await ask(w, `/lake/${PREFIX}${'x'.repeat(1_020)}`)).toMatchObject({ status: 404, code: 'NoSuchKey' })
    expect(w.bucket.operations.at(-1)).not.toMatch(/xxx/)
  })

  it('say 503 when object storage fails, and log every refusal without secrets', async () => {
    const w = await world()
    w.deps.bucket = { ...w.bucket, get: () => Promise.reject(new Error('network')) }
    expect(await ask(w, X)).toMatchObject({ status: 503, code: 'ServiceUnavailable' })
    await ask(w, X, { method: 'HEAD', at: 0 })
    expect(w.lines).toHaveLength(2)
    expect(w.lines[1]).toMatchObject({ method: 'HEAD', code: 'RequestTimeTooSkewed' })
    expect(JSON.stringify(w.lines)).not.toContain(w.credentials.sessionToken)
  })
})

describe('credentials', () => {
  it('are only made for folders of the tenant', async () => {
    for (const prefix of ['t/acme', 't/', '', 't/globex/', 't/acme2/', 't/acme/pay.daily'])
      await expect(vend(SECRET, { tenant: acme, prefix }, 0), prefix).rejects.toThrow(/not a folder/)
  })

  it('keep working while the secret rotates', async () => {
    const w = await world()
    w.deps.secrets = `${toBase64Url(new Uint8Array(32).fill(9))},${SECRET}`
    expect((await ask(w, X)).status).toBe(200)
    w.deps.keys = new SigningKeys()
    w.deps.secrets = toBase64Url(new Uint8Array(32).fill(9))
    expect((await ask(w, X)).code).toBe('InvalidToken')
  })
})
