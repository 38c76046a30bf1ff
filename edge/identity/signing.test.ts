import { createHmac, hkdfSync } from 'node:crypto'
import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../contract/canonical.ts'
import { JobId, SessionId, TenantId } from '../contract/ids.ts'
import { Manifest, type UnsignedManifest } from '../contract/manifests.ts'
import { type Grant, signGrant, verifyGrant } from './grants.ts'
import { macKeys, toBase64Url } from './secrets.ts'
import { signManifest, verifyManifest } from './signature.ts'

const SECRET = toBase64Url(new Uint8Array(32).fill(7))
const OTHER = toBase64Url(new Uint8Array(32).fill(8))
const NOW = Date.UTC(2026, 0, 1)
const job = JobId.parse('0'.repeat(26))
const tenant = TenantId.parse('acme')

const grant: Grant = {
  key: 't/acme/reports.a/data/x/1/0.parquet',
  mode: 'put',
  bytes: 5,
  sha256: 'a'.repeat(64),
  tenant,
  job,
  attempt: 1,
  session: SessionId.parse('s'.repeat(16)),
}

describe('grants', () => {
  it('come back as they were signed, for 15 minutes', async () => {
    const text = await signGrant(SECRET, grant, NOW)
    expect(await verifyGrant(SECRET, text, NOW)).toEqual({ ok: true, grant })
    expect(await verifyGrant(SECRET, text, NOW + 899_000)).toEqual({ ok: true, grant })
    expect(await verifyGrant(SECRET, text, NOW + 900_000)).toMatchObject({ ok: false, fault: { code: 'invalid_token', detail: /expired/ } })
  })

  it('of another secret, purpose, algorithm, or with one character changed are refused', async () => {
    const text = await signGrant(SECRET, grant, NOW)
    const [header = '', payload = '', signature = ''] = text.split('.')
    const bad = [await signGrant(OTHER, grant, NOW), `${header}.${payload}.`, `${header}.${payload}.${signature.slice(1)}A`, 'x', '']
    const claims = { ...grant, iss: 'scarab-edge', aud: 'scarab-grant', exp: NOW / 1_000 + 60 }
    const forge = async (purpose: 'grant' | 'manifest', protectedHeader: object, more: object = {}) => {
      const [{ kid, key }] = await macKeys(SECRET, purpose)
      return await new SignJWT({ ...claims, ...more })
        .setProtectedHeader({ alg: 'HS256', typ: 'scarab-grant+jwt', kid, ...protectedHeader })
        .sign(key)
    }
    bad.push(await forge('manifest', {}), await forge('grant', { typ: 'JWT' }), await forge('grant', { kid: 'other' }))
    bad.push(await forge('grant', {}, { aud: 's3' }), await forge('grant', {}, { iss: 'x' }), await forge('grant', {}, { exp: undefined }))
    bad.push(await forge('grant', {}, { key: 't/globex/x' }), await forge('grant', {}, { mode: 'delete' }))
    for (const each of bad) expect((await verifyGrant(SECRET, each, NOW)).ok, each).toBe(false)
    expect((await verifyGrant(SECRET, await forge('grant', {}), NOW)).ok).toBe(true)
  })

  it("are never signed for a key outside the tenant's prefix", async () => {
    for (const key of ['t/globex/a', 't/acme2/a', 'acme/a', 't/acme'])
      await expect(signGrant(SECRET, { ...grant, key }, NOW), key).rejects.toThrow(/not one of tenant acme/)
  })

  it('of the old secret stay good while it is listed', async () => {
    const text = await signGrant(SECRET, grant, NOW)
    expect((await verifyGrant(`${OTHER},${SECRET}`, text, NOW)).ok).toBe(true)
    expect(await signGrant(`${OTHER},${SECRET}`, grant, NOW)).toBe(await signGrant(OTHER, grant, NOW))
  })
})

describe('secrets', () => {
  it('must be 32 random bytes', async () => {
    for (const secret of ['', 'short', toBase64Url(new Uint8Array(31)), '***', `${SECRET},`])
      await expect(macKeys(secret, 'grant'), secret).rejects.toThrow(/SCARAB_SECRET/)
  })

  it("derive as Node's own HKDF does", async () => {
    const [{ key }] = await macKeys(SECRET, 'manifest')
    const derived = hkdfSync('sha256', new Uint8Array(32).fill(7), new Uint8Array(32), 'scarab/v1/manifest', 32)
    const signed = new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode('x')))
    expect(toBase64Url(signed)).toBe(createHmac('sha256', new Uint8Array(derived)).update('x').digest('base64url'))
  })
})

describe('canonical JSON', () => {
  it('is one text for one value', () => {
    expect(canonicalJson({ b: [1, 'é', null], a: { d: undefined, c: -0 } })).toBe('{"a":{"c":0},"b":[1,"é",null]}')
    expect(canonicalJson({ 10: 1, 9: 2, a: 3 })).toBe('{"10":1,"9":2,"a":3}')
    // RFC 8785, section 3.2.3: by UTF-16 code units, so that the emoji comes before U+FB33.
    expect(Object.keys(JSON.parse(canonicalJson({ '\ufb33': 1, '😀': 2, '\r': 3, '€': 4 })))).toEqual(['\r', '€', '😀', '\ufb33'])
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(/NaN/)
  })
})

describe("a manifest's signature", () => {
  const unsigned: UnsignedManifest = {
    version: 1,
    result: Manifest.shape.result.parse(`r${job}`),
    job,
    tenant,
    task: Manifest.shape.task.parse('t'),
    task_hash: 'b'.repeat(64),
    family: Manifest.shape.family.parse('reports.t'),
    attempt: 1,
    run_date: '2026-01-01',
    columns: [{ id: 4, name: 'a', type: 'long' }],
    added: [],
    schema_id: 's',
    rows: 1,
    bytes: 2,
    files: [],
    inline: true,
    first_rows: [['1']],
    engine: { name: 'duckdb', version: null, query_id: null },
    source: null,
    seconds: { planning: 0.1, executing: 0.2, uploading: 0 },
    created_at: '2026-01-01T00:00:00.000Z',
  }

  it('holds over a round trip through JSON, and over nothing else', async () => {
    const signed = await signManifest(SECRET, unsigned)
    expect(await signManifest(`${SECRET},${OTHER}`, unsigned)).toEqual(signed)
    await expect(signManifest('c2hvcnQ', unsigned)).rejects.toThrow(/SCARAB_SECRET must be base64url/)
    const again = Manifest.parse(JSON.parse(JSON.stringify(signed)))
    expect(await verifyManifest(SECRET, again)).toBe(true)
    expect(await verifyManifest(`${OTHER},${SECRET}`, again)).toBe(true)
    expect(await verifyManifest(OTHER, again)).toBe(false)
    for (const change of [{ rows: 2 }, { tenant: TenantId.parse('globex') }, { first_rows: [[1]] }, { signature: '' }, { signature: '?' }])
      expect(await verifyManifest(SECRET, { ...again, ...change }), JSON.stringify(change)).toBe(false)
  })
})
