import { userInfo } from 'node:os'

/** `sslmode` of libpq (PostgreSQL documentation, section 32.19). `allow` behaves like `prefer`. */
export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** Where and as whom to connect. Holds the password: never part of a message, a log line or an event. */
export interface Address {
  /** A host name, an address, or (beginning with "/") the folder of a Unix socket. */
  host: string
  port: number
  user: string
  password: string | null
  database: string
  tls: TlsMode
  /** A PEM file to verify the server's certificate against, instead of the system's. */
  rootCertificate: string | null
  applicationName: string
  connectTimeoutSeconds: number
}

export type Dsn = { ok: true; address: Address } | { ok: false; problem: string }

const DEFAULT_PORT = 5_432
const DEFAULT_CONNECT_TIMEOUT_SECONDS = 15
const MODES: Record<string, TlsMode> = {
  disable: 'disable',
  allow: 'prefer',
  prefer: 'prefer',
  require: 'require',
  'verify-ca': 'verify-ca',
  'verify-full': 'verify-full',
}

/** Parameters that Scarab sets itself or that change nothing for reading; others are refused, so that a typo is seen. */
const IGNORED = new Set([
  'client_encoding',
  'fallback_application_name',
  'gssencmode',
  'channel_binding',
  'sslcompression',
  'binary_parameters',
])

/** `host=… user='…'` (section 32.1.1.1): values may be quoted; a backslash takes the next character as it is. */
const keyValues = (text: string): Map<string, string> | null => {
  const found = new Map<string, string>()
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/gy
  let at = 0
  while (at < text.trimEnd().length) {
    pair.lastIndex = at
    const match = pair.exec(text)
    if (!match?.[1]) return null
    found.set(match[1], (match[2] ?? match[3] ?? '').replace(/\\(.)/g, '$1'))
    at = pair.lastIndex
  }
  return found
}

const fromUrl = (text: string): Map<string, string> | null => {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  const found = new Map<string, string>()
  try {
    if (url.hostname) found.set('host', decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1'))
    if (url.port) found.set('port', url.port)
    if (url.username) found.set('user', decodeURIComponent(url.username))
    if (url.password) found.set('password', decodeURIComponent(url.password))
    if (url.pathname.length > 1) found.set('dbname', decodeURIComponent(url.pathname.slice(1)))
  } catch {
    return null
  }
  for (const [name, value] of url.searchParams) found.set(name, value)
  return found
}

/** Reads a URL (`postgres://user:password@host:port/database?sslmode=…`) or libpq's `key=value` form. Problems never quote a value. */
export const parseDsn = (dsn: string): Dsn => {
  const problem = (text: string): Dsn => ({ ok: false, problem: text })
  const values = /^postgres(ql)?:\/\//.test(dsn) ? fromUrl(dsn) : keyValues(dsn)
  if (!values) return problem('its dsn is neither a postgres:// address nor a list of key=value')
  const take = (name: string): string | null => {
    const value = values.get(name)
    values.delete(name)
    return value === undefined || value === '' ? null : value
  }
  const host = take('host') ?? take('hostaddr') ?? '127.0.0.1'
  if (host.includes(',')) return problem('its dsn names several hosts, name one')
  const port = Number(take('port') ?? DEFAULT_PORT)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return problem('the port in its dsn is not a number from 1 to 65535')
  const timeout = Number(take('connect_timeout') ?? DEFAULT_CONNECT_TIMEOUT_SECONDS)
  if (!Number.isFinite(timeout) || timeout < 0) return problem('connect_timeout in its dsn is not a number of seconds')
  const tls = MODES[take('sslmode') ?? 'prefer']
  if (!tls) return problem(`sslmode in its dsn is none of ${Object.keys(MODES).join(', ')}`)
  const user = take('user') ?? userInfo().username
  const address: Address = {
    host,
    port,
    user,
    password: take('password'),
    database: take('dbname') ?? take('database') ?? user,
    tls,
    rootCertificate: take('sslrootcert'),
    applicationName: take('application_name') ?? 'scarab',
    connectTimeoutSeconds: timeout || DEFAULT_CONNECT_TIMEOUT_SECONDS,
  }
  for (const name of values.keys()) {
    if (!IGNORED.has(name))
      return problem(`its dsn has a parameter that is not known: ${/^[a-z_]{1,40}$/.test(name) ? name : '(unreadable)'}`)
  }
  return { ok: true, address }
}
