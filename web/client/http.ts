import { ApiError, isRecord } from './wire.ts'

export type TokenSource = string | (() => string | Promise<string>)

export interface Http {
  readonly origin: string
  /** Sends a request with the token; answers that are not 2xx become an `ApiError`. */
  request(path: string, init?: RequestInit): Promise<Response>
  /** …and reads JSON of a known shape. */
  json<T>(path: string, is: (value: unknown) => value is T, init?: RequestInit): Promise<T>
}

const problemOf = async (response: Response): Promise<ApiError> => {
  const text = await response.text().catch(() => '')
  try {
    const body: unknown = JSON.parse(text)
    if (isRecord(body) && typeof body.code === 'string')
      return new ApiError(response.status, body.code, typeof body.detail === 'string' ? body.detail : body.code)
  } catch {
    // Not one of our problems: a proxy, or nothing at all. The status has to do.
  }
  return new ApiError(response.status, `http_${response.status}`, `The server answered ${response.status} ${response.statusText}`.trim())
}

export const createHttp = (options: { origin: string; token: TokenSource; fetch?: typeof fetch }): Http => {
  const send = options.fetch ?? ((input: RequestInfo | URL, init?: RequestInit) => fetch(input, init))
  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(path, options.origin)
    const headers = new Headers(init.headers)
    // A signed address of object storage carries its own permission, and must not see our token.
    if (url.origin === new URL(options.origin).origin) {
      const token = typeof options.token === 'string' ? options.token : await options.token()
      headers.set('authorization', `Bearer ${token}`)
    }
    const response = await send(url, { ...init, headers }).catch((error: unknown) => {
      if (init.signal?.aborted) throw error
      throw new ApiError(0, 'offline', 'The server did not answer')
    })
    if (!response.ok) throw await problemOf(response)
    return response
  }
  return {
    origin: options.origin,
    request,
    json: async (path, is, init) => {
      const response = await request(path, init)
      const body: unknown = await response.json().catch(() => undefined)
      if (!is(body)) throw new ApiError(response.status, 'unexpected_answer', `The answer of ${path} has an unknown form`)
      return body
    },
  }
}
