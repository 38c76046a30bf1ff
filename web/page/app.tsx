import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from './icons.tsx'
import { Announcer } from './parts/announce.tsx'
import { Finder } from './parts/finder.tsx'
import { keepFocus } from './parts/focus.ts'
import { Keys } from './parts/keys.tsx'
import { lazy } from './parts/lazy.tsx'
import { isWork } from './parts/work-tabs.tsx'
import { JobPlace } from './places/job.tsx'
import { Jobs } from './places/jobs.tsx'
import { Nodes, nodesExist, probeNodes } from './places/nodes.tsx'
import { Reports } from './places/reports.tsx'
import { SignIn } from './places/sign-in.tsx'
import { Tables } from './places/tables.tsx'
import { address, type Route, route } from './route.ts'
import { signedIn, signOut } from './session.ts'

const PLACES: { place: Route['place']; title: string; icon: IconName }[] = [
  { place: 'reports', title: 'Reports', icon: 'reports' },
  { place: 'jobs', title: 'Jobs', icon: 'jobs' },
  { place: 'tables', title: 'Tables', icon: 'tables' },
  { place: 'nodes', title: 'Nodes', icon: 'nodes' },
]

const Groups = lazy('The groups', async () => (await import('./places/groups.tsx')).Groups)
const Schedules = lazy('The schedules', async () => (await import('./places/schedules.tsx')).Schedules)
const Lanes = lazy('The lanes', async () => (await import('./places/lanes.tsx')).Lanes)
const Dead = lazy('The dead letters', async () => (await import('./places/dead.tsx')).Dead)

/** Groups, schedules, lanes and dead letters are looked at from the jobs. */
const railPlace = (place: Route['place']): Route['place'] => (isWork(place) ? 'jobs' : place)

const Rail = ({ here, find, keys }: { here: Route['place']; find: () => void; keys: () => void }): JSX.Element => (
  <nav class="rail" aria-label="Places">
    <a class="brand" href={address('reports')}>
      <span class="unseen">Scarab, to the reports</span>
      <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
        <path d="M9.500 17c0-4.500 2.600-7 6.500-7s6.500 2.500 6.500 7-2.600 8.500-6.500 8.500S9.500 21.500 9.500 17ZM16 10v15.500M10 15.500h12M12.500 10.500C12.500 8 14 6.500 16 6.500s3.500 1.500 3.500 4M9.500 19.500 6 21.500M22.500 19.500l3.500 2M10 13 6.500 11M22 13l3.500-2" />
      </svg>
    </a>
    <ul>
      {PLACES.filter(({ place }) => place !== 'nodes' || nodesExist.value).map(({ place, title, icon }) => (
        <li key={place}>
          <a
            href={address(place)}
            class={place === railPlace(here) ? 'current' : ''}
            aria-current={place === here ? 'page' : place === railPlace(here) ? 'true' : undefined}
            data-place={place}
          >
            <Icon name={icon} />
            <span>{title}</span>
          </a>
        </li>
      ))}
    </ul>
    <div class="rail-foot">
      <button type="button" onClick={find} title="Find (Ctrl K)">
        <Icon name="search" />
        <span>Find</span>
      </button>
      <button type="button" onClick={keys} title="Keys (?)" class="rail-keys">
        <Icon name="keys" />
        <span>Keys</span>
      </button>
      <button type="button" onClick={() => signOut(null)} title="Sign out">
        <Icon name="out" />
        <span>Sign out</span>
      </button>
    </div>
  </nav>
)

const Place = ({ at }: { at: Route }): JSX.Element => {
  switch (at.place) {
    case 'reports':
      return <Reports chosen={at.report} query={at.query} />
    case 'jobs':
      return at.job === null ? <Jobs /> : <JobPlace key={at.job} id={at.job} query={at.query} />
    case 'tables':
      return <Tables chosen={at.table} />
    case 'groups':
      return <Groups group={at.group} />
    case 'schedules':
      return <Schedules form={at.form} query={at.query} />
    case 'lanes':
      return <Lanes />
    case 'dead':
      return <Dead />
    case 'nodes':
      return <Nodes />
  }
}

const TITLES: Record<Route['place'], string> = {
  reports: 'Reports',
  jobs: 'Jobs',
  groups: 'Groups',
  schedules: 'Schedules',
  lanes: 'Lanes',
  dead: 'Dead letters',
  tables: 'Tables',
  nodes: 'Nodes',
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))

const useOnline = (): boolean => {
  const [online, setOnline] = useState(navigator.onLine)
  useEffect(() => {
    const follow = (): void => setOnline(navigator.onLine)
    addEventListener('online', follow)
    addEventListener('offline', follow)
    return () => {
      removeEventListener('online', follow)
      removeEventListener('offline', follow)
    }
  }, [])
  return online
}

export const App = (): JSX.Element => {
  const [over, setOver] = useState<'finder' | 'keys' | null>(null)
  const at = route.value
  const inside = signedIn.value
  const online = useOnline()
  const opened = useRef(false)
  useEffect(() => {
    if (inside) probeNodes()
  }, [inside])
  useEffect(() => {
    // A job or group names itself, once it is known.
    if ((at.place === 'jobs' && at.job !== null) || (at.place === 'groups' && at.group !== null)) return
    const name = at.place === 'reports' ? at.report : at.place === 'tables' ? at.table : null
    document.title = `${name ?? TITLES[at.place]} · Scarab`
  }, [at])
  useEffect(() => {
    // The first Tab of a page that was just opened leads to the rail, as anywhere.
    if (opened.current) keepFocus()
    opened.current = inside
  }, [at, inside])
  useEffect(() => {
    if (!inside) return
    const onKey = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setOver('finder')
      } else if (event.key === '?' && !isTyping(event.target)) setOver('keys')
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [inside])
  const close = (): void => setOver(null)
  if (!inside) return <SignIn />
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        To the content
      </button>
      <Rail here={at.place} find={() => setOver('finder')} keys={() => setOver('keys')} />
      <main id="main" tabIndex={-1}>
        {online ? null : (
          <p class="offline-bar" role="status">
            You are offline. What is open works on: it is computed here.
          </p>
        )}
        <Place at={at} />
      </main>
      {over === 'finder' ? <Finder close={close} /> : null}
      {over === 'keys' ? <Keys close={close} /> : null}
      <Announcer />
    </>
  )
}
