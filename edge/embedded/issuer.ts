import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { ALGORITHM, type DevKeys, NODE_AUDIENCE, PERSON_AUDIENCE, PERSON_SCOPES } from './keys.ts'

/** A sign-in code is good once, for this long. */
export const CODE_SECONDS = 60
/** How long a person stays signed in to the page. */
const PAGE_TOKEN_SECONDS = 12 * 60 * 60
const MAX_BODY_BYTES = 4_096
const DEMO_TENANT = 'demo'

const CodeBody = z.object({ code: z.string().min(1).max(200) })
export const CodeAnswer = z.object({ code: z.string() })

export interface DevIssuer {
  /** `http://127.0.0.1:PORT`, another one at every start. */
  address: string
  /** Opens the control door (`POST /codes`); lives in the state folder only. */
  control: string
  /** A new one-time code. */
  mintCode(): string
  close(): Promise<void>
}

export interface DevIssuerOptions {
  keys: DevKeys
  /** The page's origins, the only ones that may exchange a code from a browser. */
  origins: () => string[]
  now?: () => number
}

/**
 * A development issuer: OpenID Connect discovery and key set (OpenID Connect Discovery 1.0, section 4; RFC 7517) on an
 * ephemeral loopback port, and the exchange of a one-time code for a token. It lives in the launcher, never in the Worker.
 */
export const startIssuer = async (options: DevIssuerOptions): Promise<DevIssuer> => {
  const { keys } = options
  const now = options.now ?? Date.now
  const control = randomBytes(32).toString('base64url')
  const codes = new Map<string, number>()
  let address = ''

  const mintCode = (): string => {
    for (const [code, expires] of codes) if (expires <= now()) codes.delete(code)
    const code = randomBytes(24).toString('base64url')
    codes.set(code, now() + CODE_SECONDS * 1000)
    return code
  }
  const takeCode = (code: string): boolean => {
    const expires = codes.get(code)
    codes.delete(code)
    return expires !== undefined && expires > now()
  }

  const signIn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = CodeBody.safeParse(await readJson(request))
    if (!body.success) return send(response, 400, { error: 'invalid_request', error_description: 'the body is {"code": "…"}' })
    if (!takeCode(body.data.code))
      return send(response, 400, {
        error: 'invalid_grant',
        error_description: 'the code was used or is older than a minute: get a new address by npm run -s open',
      })
    const token = await keys.person(DEMO_TENANT, { ttl: PAGE_TOKEN_SECONDS })
    send(response, 200, { access_token: token, token_type: 'Bearer', expires_in: PAGE_TOKEN_SECONDS, scope: PERSON_SCOPES })
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // A page of another site that rebinds its name to 127.0.0.1 carries its own name here.
    if (request.headers.host !== new URL(address).host) return send(response, 421, { error: 'invalid_host' })
    const path = new URL(request.url ?? '/', address).pathname
    const origin = request.headers.origin
    const known = origin !== undefined && options.origins().includes(origin)
    if (origin !== undefined && !known) return send(response, 403, { error: 'invalid_origin' })
    if (known) {
      response.setHeader('access-control-allow-origin', origin)
      response.setHeader('vary', 'origin')
    }
    const route = `${request.method} ${path}`
    switch (route) {
      case 'OPTIONS /sign-in':
        response.setHeader('access-control-allow-methods', 'POST')
        response.setHeader('access-control-allow-headers', 'content-type')
        response.setHeader('access-control-allow-private-network', 'true')
        response.writeHead(204).end()
        return
      case 'POST /sign-in':
        return signIn(request, response)
      case 'GET /.well-known/openid-configuration':
        return send(response, 200, {
          issuer: keys.issuer,
          jwks_uri: `${address}/jwks.json`,
          token_endpoint: `${address}/sign-in`,
          response_types_supported: ['none'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: [ALGORITHM],
          scopes_supported: PERSON_SCOPES.split(' '),
        })
      case 'GET /jwks.json':
        return send(response, 200, { keys: [keys.publicJwk] })
      case 'POST /codes':
        if (!sameText(request.headers.authorization ?? '', `Bearer ${control}`)) return send(response, 401, { error: 'invalid_token' })
        return send(response, 200, { code: mintCode() })
      default:
        return send(response, 404, { error: 'not_found' })
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (response.headersSent) response.destroy()
      else send(response, 400, { error: 'invalid_request' })
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    address,
    control,
    mintCode,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** One entry of the Worker's `SCARAB_ISSUERS`. */
export const issuerConfig = (keys: DevKeys, issuer: DevIssuer): Record<string, unknown> => ({
  issuer: keys.issuer,
  jwks_uri: `${issuer.address}/jwks.json`,
  audience: PERSON_AUDIENCE,
  node_audience: NODE_AUDIENCE,
  algorithms: [ALGORITHM],
  tenant_claim: 'tenant',
  scope_claim: 'scope',
  tenants: 'any',
  sign_in: `${issuer.address}/sign-in`,
})

const sameText = (a: string, b: string): boolean => {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

const send = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  response.end(JSON.stringify(body))
}

const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error('body too large')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}
