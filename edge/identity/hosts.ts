import type { Fault } from '../contract/problems.ts'

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']

export interface HostSettings {
  embedded: boolean
  /** `SCARAB_HOSTS`: more names, comma separated, without port. */
  hosts: string | undefined
}

/** The name in a `Host` header: lower case, without port and final dot. Null when it is no host at all. */
export const hostName = (header: string): string | null => {
  const [, name] = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?$/.exec(header.toLowerCase()) ?? []
  return name ? name.replace(/\.$/, '') : null
}

/**
 * On one machine every route demands a known host name: else any page on the web could reach this port under a name of
 * its own that resolves to 127.0.0.1 (DNS rebinding). In production the route in front decides. Null: all is well.
 */
export const hostFault = (request: Pick<Request, 'url' | 'headers'>, settings: HostSettings): Fault | null => {
  if (!settings.embedded) return null
  const allowed = new Set([...LOOPBACK, ...(settings.hosts ?? '').split(',').map((name) => name.trim().toLowerCase())])
  allowed.delete('')
  // Both: an absolute request target and the header may differ.
  const named = [new URL(request.url).host, request.headers.get('host')].filter((host) => host !== null)
  for (const host of named) {
    const name = hostName(host)
    if (name === null || !allowed.has(name))
      return { code: 'invalid_host', detail: 'this edge answers to 127.0.0.1, localhost, [::1] and the names in SCARAB_HOSTS' }
  }
  return null
}
