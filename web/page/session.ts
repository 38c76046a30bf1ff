import { computed, signal } from '@preact/signals'
import { ApiError, type Client, createClient, type EngineAssets, isRecord } from '../client/index.ts'
import { address } from './route.ts'

/** Written in by the build: addresses of the engine's files. */
declare const SCARAB_ASSETS: EngineAssets

interface Session {
  token: string
  /** Milliseconds since 1970; null: whoever pasted the token knows. */
  expires: number | null
}

/** The tab's own storage: closed with the tab, never sent by the browser itself. */
const KEY = 'scarab.session'

const readKept = (): Session | null => {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null')
    if (!isRecord(kept) || typeof kept.token !== 'string') return null
    const expires = typeof kept.expires === 'number' ? kept.expires : null
    return expires !== null && expires < Date.now() ? null : { token: kept.token, expires }
  } catch {
    return null
  }
}

const session = signal<Session | null>(readKept())
export const signedIn = computed(() => session.value !== null)
/** Why nobody is signed in, where there is something to say. */
export const signInProblem = signal<string | null>(null)
export const signingIn = signal(false)

export const signIn = (token: string, expiresInSeconds: number | null): void => {
  const made: Session = { token, expires: expiresInSeconds === null ? null : Date.now() + expiresInSeconds * 1_000 }
  sessionStorage.setItem(KEY, JSON.stringify(made))
  signInProblem.value = null
  session.value = made
}

export const signOut = (why: string | null): void => {
  sessionStorage.removeItem(KEY)
  signInProblem.value = why
  session.value = null
}

const CODE = /^#(?:.*&)?code=([^&]+)/

/** Where the one-time code leads after it was used: `#code=…&to=/jobs/ID`. */
const destination = (hash: string): string => {
  const to = new URLSearchParams(hash.slice(1)).get('to')
  return to?.startsWith('/') ? `#${to}` : address('reports')
}

const exchange = async (code: string): Promise<void> => {
  const answer = await fetch('/v1/session/config', { cache: 'no-store' })
  const config: unknown = await answer.json()
  const issuers = isRecord(config) && Array.isArray(config.issuers) ? config.issuers : []
  const signInAt = issuers
    .map((issuer: unknown) => (isRecord(issuer) && typeof issuer.sign_in === 'string' ? issuer.sign_in : null))
    .find((url) => url !== null)
  if (signInAt === null || signInAt === undefined) throw new Error('This server has no sign-in for one-time codes.')
  const response = await fetch(new URL(signInAt, location.origin), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  })
  const body: unknown = await response.json().catch(() => null)
  if (!response.ok || !isRecord(body) || typeof body.access_token !== 'string')
    throw new Error('The one-time code is used up or older than a minute.')
  signIn(body.access_token, typeof body.expires_in === 'number' ? body.expires_in : null)
}

/**
 * The first sign-in: a one-time code in the fragment, which no server sees in a request line. It leaves the address before it
 * is used, so that a copied address carries no secret.
 */
export const signInByAddress = async (): Promise<void> => {
  const code = CODE.exec(location.hash)?.[1]
  if (code === undefined) return
  history.replaceState(null, '', destination(location.hash))
  signingIn.value = true
  try {
    await exchange(decodeURIComponent(code))
  } catch (error) {
    if (session.value === null) signOut(error instanceof Error ? error.message : 'The sign-in failed.')
  } finally {
    signingIn.value = false
  }
}

export const client: Client = createClient({
  assets: SCARAB_ASSETS,
  token: () => {
    const now = session.value
    if (now === null) throw new ApiError(401, 'missing_token', 'You are not signed in.')
    return now.token
  },
  fetch: async (input, init) => {
    const response = await fetch(input, init)
    if (response.status === 401 && session.value !== null) signOut('Your sign-in has ended.')
    return response
  },
})
