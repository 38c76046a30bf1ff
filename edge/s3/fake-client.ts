import type { Credentials } from './session.ts'
import { ALGORITHM, canonicalPath, canonicalQuery, EMPTY_SHA256, queryPairs, sign, signingKey, stringToSign } from './sigv4.ts'
import { pathAndQuery } from './verify.ts'

/** What differs from a right request, for tests. */
export interface Handmade {
  method?: string
  headers?: Record<string, string>
  unsigned?: Record<string, string>
  at?: number
  date?: string
  service?: string
  payload?: string
  omit?: string[]
  host?: string
  /** What arrives, where it differs from what was signed. */
  arrives?: string
}

/** Signs by hand, so that each piece can be wrong on its own. */
export const signed = async (target: string, credentials: Credentials, at: number, more: Handmade = {}): Promise<Request> => {
  const { method = 'GET', host = '127.0.0.1:8787', payload = EMPTY_SHA256, service = 's3' } = more
  const time = `${new Date(more.at ?? at).toISOString().replace(/[-:]|\.\d+/g, '')}`
  const headers: Record<string, string> = {
    host,
    'x-amz-content-sha256': payload,
    'x-amz-date': time,
    'x-amz-security-token': credentials.sessionToken,
    ...more.headers,
  }
  for (const name of more.omit ?? []) delete headers[name]
  const names = Object.keys(headers).sort()
  const scope = { date: more.date ?? time.slice(0, 8), region: 'us-east-1', service }
  const [path, query] = pathAndQuery(`http://${host}${target}`)
  const text = await stringToSign(
    {
      method,
      path: canonicalPath(path) ?? '',
      query: canonicalQuery(queryPairs(query) ?? []),
      headers: names.map((name) => [name, headers[name] ?? '']),
      payload,
      time,
    },
    scope,
  )
  const signature = await sign(await signingKey(credentials.secretAccessKey, scope), text)
  const authorization = `${ALGORITHM} Credential=${credentials.accessKeyId}/${scope.date}/us-east-1/${service}/aws4_request, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return new Request(`http://${host}${more.arrives ?? target}`, { method, headers: { ...headers, ...more.unsigned, authorization } })
}
