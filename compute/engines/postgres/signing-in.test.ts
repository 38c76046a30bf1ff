import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PATIENCE_MS } from '../../test-patience.ts'
import { Connection } from './connection.ts'
import { parseDsn } from './dsn.ts'
import { lookUp } from './query.ts'
import { scramAnswer, scramStart, scramVerify } from './scram.ts'
import { ConnectionTrouble } from './socket.ts'
import { type PostgresServer, startPostgres } from './test-server.ts'

setDefaultTimeout(PATIENCE_MS)

/** DER (X.690): a tag, a length, a content. Enough of it for one certificate (RFC 5280) that names `localhost`. */
const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  const long = content.length < 256 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 0xff]
  const length = content.length < 128 ? [content.length] : long
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}
const certificate = (): { key: string; cert: string } => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const text = (value: string) => der(0x0c, Buffer.from(value))
  const oid = (...bytes: number[]) => der(0x06, Buffer.from(bytes))
  const ecdsaSha256 = der(0x30, oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
  const name = der(0x30, der(0x31, der(0x30, oid(0x55, 0x04, 0x03), text('localhost'))))
  const alternative = der(0x30, oid(0x55, 0x1d, 0x11), der(0x04, der(0x30, der(0x82, Buffer.from('localhost')))))
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaSha256,
    name,
    der(0x30, der(0x17, Buffer.from('200101000000Z')), der(0x18, Buffer.from('21200101000000Z'))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, alternative)),
  )
  const whole = der(0x30, body, ecdsaSha256, der(0x03, Buffer.from([0]), sign('sha256', body, privateKey)))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`,
  }
}

let server: PostgresServer
let rootFile: string

beforeAll(async () => {
  const { key, cert } = certificate()
  rootFile = join(await mkdtemp(join(tmpdir(), 'scarab-tls-')), 'root.pem')
  await writeFile(rootFile, cert)
  server = await startPostgres({
    settings: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    files: { 'server.crt': cert, 'server.key': key },
    hba: [
      'host all scarab 127.0.0.1/32 trust',
      'hostssl all tls_only all trust',
      'host all scram_user all scram-sha-256',
      'host all md5_user all md5',
      'host all clear_user all password',
    ],
  })
  const admin = new Bun.SQL(server.dsn(), { max: 1 })
  await admin
    .unsafe(
      `create role tls_only login; set password_encryption = 'scram-sha-256'; create role scram_user login password 'pä ss';
       create role clear_user login password 'clear'; set password_encryption = 'md5'; create role md5_user login password 'older'`,
    )
    .simple()
  await admin.end()
})
afterAll(() => server.stop())

const open = async (dsn: string): Promise<Connection> => {
  const parsed = parseDsn(dsn)
  if (!parsed.ok) throw new Error(parsed.problem)
  return Connection.open(parsed.address, new AbortController().signal)
}
/** Opens a connection and says whether the server sees it encrypted. */
const encrypted = async (dsn: string): Promise<string | null | undefined> => {
  const connection = await open(dsn)
  try {
    const [row] = await lookUp(connection, 'select ssl::text from pg_stat_ssl where pid = pg_backend_pid()', [])
    return row?.[0]
  } finally {
    connection.close()
  }
}
const trouble = async (dsn: string): Promise<ConnectionTrouble> => {
  const error = await open(dsn).then(
    () => null,
    (cause: unknown) => cause,
  )
  if (!(error instanceof ConnectionTrouble)) throw new Error(`expected ConnectionTrouble, got ${String(error)}`)
  return error
}

describe('passwords', () => {
  test('SCRAM-SHA-256, md5 and clear text open a session', async () => {
    for (const dsn of [
      `postgres://scram_user:${encodeURIComponent('pä ss')}@127.0.0.1:${server.port}/postgres`,
      `host=127.0.0.1 port=${server.port} user=scram_user password='pä ss' dbname=postgres sslmode=disable`,
      `postgres://md5_user:older@127.0.0.1:${server.port}/postgres`,
      `postgres://clear_user:clear@127.0.0.1:${server.port}/postgres`,
    ]) {
      expect(await encrypted(dsn)).toBe(dsn.includes('disable') ? 'false' : 'true')
    }
  })

  test('a wrong one, a missing one and an unknown user are rejected', async () => {
    for (const part of ['scram_user:wrong', 'md5_user:wrong', 'clear_user', 'unknown']) {
      expect((await trouble(`postgres://${part}@127.0.0.1:${server.port}/postgres`)).kind).toBe('rejected')
    }
  })

  test('SCRAM follows the example of RFC 7677, section 3', async () => {
    // The RFC names a user in its messages, PostgreSQL does not, so the proof differs and the two signatures are our own check.
    const start = scramStart('rOprNGfwEbeRWgbNEkqO')
    const first = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'
    const answer = await scramAnswer(start, first, 'pencil')
    if (!answer.ok) throw new Error(answer.problem)
    expect(answer.message).toStartWith('c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=')
    expect(scramVerify(answer.serverSignature, `v=${answer.serverSignature}`)).toBe(true)
    expect(scramVerify(answer.serverSignature, 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toBe(false)
  })

  test('a server that changes the nonce or asks for endless work is refused', async () => {
    const start = scramStart('abc')
    for (const first of ['r=xyz,s=QUJD,i=4096', 'r=abc,s=QUJD,i=4096', 'r=abcd,s=QUJD,i=100000000', 'r=abcd,i=1']) {
      expect((await scramAnswer(start, first, 'p')).ok).toBe(false)
    }
  })
})

describe('TLS', () => {
  const at = (host: string, query: string) => `postgres://tls_only@${host}:${server.port}/postgres?${query}`
  test('sslmode require encrypts, and verify-full checks name and issuer', async () => {
    expect(await encrypted(at('localhost', 'sslmode=require'))).toBe('true')
    expect(await encrypted(at('localhost', `sslmode=verify-full&sslrootcert=${rootFile}`))).toBe('true')
    expect(await encrypted(at('127.0.0.1', `sslmode=verify-ca&sslrootcert=${rootFile}`))).toBe('true')
  })
  test('a certificate of nobody, of another name, or no TLS at all is rejected', async () => {
    for (const dsn of [
      at('localhost', 'sslmode=verify-full'),
      at('127.0.0.1', `sslmode=verify-full&sslrootcert=${rootFile}`),
      at('localhost', 'sslmode=verify-full&sslrootcert=/nowhere.pem'),
      at('localhost', 'sslmode=disable'),
    ]) {
      expect((await trouble(dsn)).kind).toBe('rejected')
    }
  })
  test('a cancel request goes over TLS too', async () => {
    const connection = await open(at('localhost', 'sslmode=require'))
    const sleeping = lookUp(connection, 'select pg_sleep(3600)', [])
    // A request before the query has begun is lost.
    let ended = false
    const end = sleeping.then(() => {
      ended = true
    })
    while (!ended) await Promise.race([end, connection.cancel(new AbortController().signal)])
    connection.close()
    expect(await sleeping).toEqual([])
  })
})

describe('dsn', () => {
  test('reads addresses and key=value lists', () => {
    expect(parseDsn('postgres://u%40x:p%2Fw@db.example:6000/d%20b?sslmode=require&application_name=x&connect_timeout=3')).toMatchObject({
      ok: true,
      address: {
        host: 'db.example',
        port: 6000,
        user: 'u@x',
        password: 'p/w',
        database: 'd b',
        tls: 'require',
        applicationName: 'x',
        connectTimeoutSeconds: 3,
      },
    })
    expect(parseDsn("host = '/var/run/pg' user=u password='it\\'s' dbname=d")).toMatchObject({
      ok: true,
      address: { host: '/var/run/pg', port: 5432, user: 'u', password: "it's", database: 'd', tls: 'prefer' },
    })
    expect(parseDsn('postgresql://u@[::1]/d')).toMatchObject({ ok: true, address: { host: '::1' } })
  })
  test('says what is wrong without quoting a value', () => {
    for (const dsn of [
      'nonsense',
      'postgres://u:geheim@h:0/d',
      'host=h password=geheim sslmode=maybe',
      'host=a,b password=geheim',
      'host=h passwort=geheim',
      "host=h password='geheim",
    ]) {
      const parsed = parseDsn(dsn)
      expect(parsed.ok).toBe(false)
      expect(JSON.stringify(parsed)).not.toContain('geheim')
    }
  })
})
