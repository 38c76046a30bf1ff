import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/**
 * SCRAM-SHA-256 (RFC 5802 and 7677) without channel binding, as PostgreSQL speaks it (documentation, section 54.3).
 * The user name in the exchange is empty: the server takes it from the startup message.
 */

const derive = promisify(pbkdf2)
/** A server that asks for more is refused: it could stall the node. PostgreSQL's default is 4,096. */
const MAX_ITERATIONS = 1_000_000

export interface ScramStart {
  nonce: string
  message: string
}

export const scramStart = (nonce = randomBytes(18).toString('base64')): ScramStart => ({ nonce, message: `n,,n=,r=${nonce}` })

export type ScramAnswer = { ok: true; message: string; serverSignature: string } | { ok: false; problem: string }

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** Answers the server's first message. `password` is normalised by NFKC, which is what SASLprep does to nearly all texts. */
export const scramAnswer = async (start: ScramStart, serverFirst: string, password: string): Promise<ScramAnswer> => {
  const part = (name: string): string | undefined =>
    serverFirst
      .split(',')
      .find((text) => text.startsWith(`${name}=`))
      ?.slice(2)
  const nonce = part('r')
  const salt = part('s')
  const iterations = Number(part('i'))
  if (!nonce?.startsWith(start.nonce) || nonce.length === start.nonce.length || !salt)
    return { ok: false, problem: 'the server broke the SCRAM exchange' }
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > MAX_ITERATIONS)
    return { ok: false, problem: `the server asks for ${iterations} SCRAM iterations, at most ${MAX_ITERATIONS} are accepted` }
  const salted = await derive(password.normalize('NFKC'), Buffer.from(salt, 'base64'), iterations, 32, 'sha256')
  const clientKey = hmac(salted, 'Client Key')
  const stored = createHash('sha256').update(clientKey).digest()
  const withoutProof = `c=biws,r=${nonce}`
  const signed = `n=,r=${start.nonce},${serverFirst},${withoutProof}`
  const signature = hmac(stored, signed)
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)))
  return {
    ok: true,
    message: `${withoutProof},p=${proof.toString('base64')}`,
    serverSignature: hmac(hmac(salted, 'Server Key'), signed).toString('base64'),
  }
}

/** True when the server has shown that it knows the password as well. */
export const scramVerify = (expectedSignature: string, serverFinal: string): boolean => {
  const said = Buffer.from(serverFinal.startsWith('v=') ? (serverFinal.slice(2).split(',')[0] ?? '') : '')
  const expected = Buffer.from(expectedSignature)
  return said.length === expected.length && timingSafeEqual(said, expected)
}

const md5 = (...parts: (string | Buffer)[]): string => {
  const hash = createHash('md5')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** The older exchange, still asked for by servers with `password_encryption = md5`. */
export const md5Answer = (user: string, password: string, salt: Buffer): string => `md5${md5(md5(password, user), salt)}`
