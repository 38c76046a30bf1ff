import { signal } from '@preact/signals'

/*
 * Places live in the address's fragment: filters and typed SQL never travel to a server in a request line, and any server that
 * serves index.html serves every place.
 */
export type Route =
  | { place: 'reports'; report: string | null; query: URLSearchParams }
  | { place: 'jobs'; job: string | null; query: URLSearchParams }
  | { place: 'groups'; group: string | null; query: URLSearchParams }
  | { place: 'schedules'; form: boolean; query: URLSearchParams }
  | { place: 'lanes'; query: URLSearchParams }
  | { place: 'dead'; query: URLSearchParams }
  | { place: 'tables'; table: string | null; query: URLSearchParams }
  | { place: 'nodes'; query: URLSearchParams }

const decode = (text: string | undefined): string | null => {
  if (text === undefined || text === '') return null
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

export const readRoute = (hash: string): Route => {
  const text = hash.replace(/^#\/?/, '')
  const at = text.indexOf('?')
  const path = at < 0 ? text : text.slice(0, at)
  const query = new URLSearchParams(at < 0 ? '' : text.slice(at + 1))
  const [place, name] = path.split('/')
  if (place === 'jobs') return { place, job: decode(name), query }
  if (place === 'tables') return { place, table: decode(name), query }
  if (place === 'groups') return { place, group: decode(name), query }
  if (place === 'schedules') return { place, form: name === 'new', query }
  if (place === 'nodes' || place === 'lanes' || place === 'dead') return { place, query }
  return { place: 'reports', report: place === 'reports' ? decode(name) : null, query }
}

export const address = (place: Route['place'], name: string | null = null, query?: URLSearchParams): string => {
  const text = query?.toString() ?? ''
  return `#/${place}${name === null ? '' : `/${encodeURIComponent(name)}`}${text === '' ? '' : `?${text}`}`
}

export const route = signal<Route>({ place: 'reports', report: null, query: new URLSearchParams() })

/** Goes to a place; `replace` leaves no step for the Back button (a view that changes with each key). */
export const go = (to: string, options: { replace?: boolean } = {}): void => {
  if (to === location.hash) return
  if (options.replace) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  route.value = readRoute(location.hash)
}

export const followAddress = (): void => {
  route.value = readRoute(location.hash)
  const follow = (): void => {
    route.value = readRoute(location.hash)
  }
  addEventListener('popstate', follow)
  addEventListener('hashchange', follow)
}
