import { readFileSync } from 'node:fs'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Address } from './dsn.ts'
import { Outgoing } from './wire.ts'

/**
 * Why there is no connection. `unreachable`: nobody answered, or not yet; `overloaded`: somebody answered and has no room now;
 * `rejected`: somebody answered and said no,
 * which the same settings will hear again; `lost`: the connection ended in the middle. Reasons name neither host nor
 * user: both stand in the dsn.
 */
export class ConnectionTrouble extends Error {
  readonly kind: 'unreachable' | 'overloaded' | 'rejected' | 'lost' | 'aborted'
  constructor(kind: ConnectionTrouble['kind'], reason: string) {
    super(reason)
    this.name = 'ConnectionTrouble'
    this.kind = kind
  }
}

const KEEP_ALIVE_MS = 30_000

const socketReason = (error: Error & { code?: string }): string =>
  error.code === 'ECONNREFUSED' ? 'the server refused the connection' : `the connection failed (${error.code ?? 'unknown reason'})`

/** Waits for what `arrange` reports, for the end of the socket, or for `signal`, whichever comes first. */
const settle = <T>(
  socket: Socket,
  signal: AbortSignal,
  failed: (error: Error) => ConnectionTrouble,
  arrange: (resolve: (value: T) => void) => void,
): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    const abort = () => done(() => reject(new ConnectionTrouble('aborted', 'stopped while connecting')))
    const error = (cause: Error) => done(() => reject(failed(cause)))
    const close = () => done(() => reject(new ConnectionTrouble('unreachable', 'the server closed the connection')))
    const done = (then: () => void) => {
      signal.removeEventListener('abort', abort)
      socket.off('error', error)
      socket.off('close', close)
      then()
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', error)
    socket.once('close', close)
    if (signal.aborted) abort()
    arrange((value) => done(() => resolve(value)))
  })

const unreachable = (error: Error): ConnectionTrouble => new ConnectionTrouble('unreachable', socketReason(error))
const untrusted = (error: Error & { code?: string }): ConnectionTrouble =>
  new ConnectionTrouble('rejected', `TLS with the server failed (${error.code ?? 'unknown reason'})`)

const startTls = (raw: Socket, address: Address, verify: boolean): TLSSocket => {
  try {
    return connectTls({
      socket: raw,
      ...(isIP(address.host) ? {} : { servername: address.host }),
      rejectUnauthorized: verify,
      ...(address.rootCertificate ? { ca: readFileSync(address.rootCertificate) } : {}),
      ...(address.tls === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
      ALPNProtocols: ['postgresql'],
    })
  } catch {
    throw new ConnectionTrouble('rejected', 'sslrootcert names no file with a certificate')
  }
}

const overTls = async (raw: Socket, address: Address, signal: AbortSignal): Promise<Socket> => {
  const verify = address.tls === 'verify-ca' || address.tls === 'verify-full'
  const secured = startTls(raw, address, verify)
  await settle<void>(secured, signal, untrusted, (resolve) => secured.once('secureConnect', () => resolve()))
  if (verify && !secured.authorized) throw new ConnectionTrouble('rejected', "the server's certificate is not trusted")
  return secured
}

/** Opens the TCP or Unix socket and, where asked for, TLS on it (section 54.2.11). */
export const openSocket = async (address: Address, signal: AbortSignal): Promise<Socket> => {
  const raw = address.host.startsWith('/')
    ? connect({ path: `${address.host}/.s.PGSQL.${address.port}` })
    : connect({ host: address.host, port: address.port })
  raw.setNoDelay(true)
  raw.setKeepAlive(true, KEEP_ALIVE_MS)
  try {
    await settle<void>(raw, signal, unreachable, (resolve) => raw.once('connect', () => resolve()))
    if (address.tls === 'disable' || address.host.startsWith('/')) return raw
    const answer = await settle<Buffer>(raw, signal, unreachable, (resolve) => {
      raw.once('data', resolve)
      raw.write(new Outgoing().sslRequest().finish())
    })
    // Exactly one byte: whatever came behind it in clear would be taken for the server's encrypted words (CVE-2021-23222).
    if (answer.length !== 1) throw new ConnectionTrouble('rejected', 'the server sent data before TLS began')
    if (answer[0] === 0x53) return await overTls(raw, address, signal)
    if (address.tls === 'prefer') return raw
    throw new ConnectionTrouble('rejected', 'the server does not offer TLS, which sslmode demands')
  } catch (error) {
    raw.destroy()
    throw error
  }
}

/** Asks the server to stop what the backend is doing. Resolves when the server took the request; that says nothing about its success. */
export const requestCancel = async (address: Address, pid: number, secret: number, signal: AbortSignal): Promise<void> => {
  const socket = await openSocket(address, signal)
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.once('error', () => resolve())
    signal.addEventListener('abort', () => socket.destroy(), { once: true })
    // The server closes when it has passed the signal on (section 54.2.8).
    socket.resume()
    socket.write(new Outgoing().cancelRequest(pid, secret).finish())
  })
  socket.destroy()
}
