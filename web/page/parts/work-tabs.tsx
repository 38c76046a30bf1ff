import type { JSX } from 'preact'
import { address, type Route } from '../route.ts'

export type WorkPlace = Extract<Route['place'], 'jobs' | 'groups' | 'schedules' | 'lanes' | 'dead'>

const TABS: [place: WorkPlace, title: string][] = [
  ['jobs', 'Jobs'],
  ['groups', 'Groups'],
  ['schedules', 'Schedules'],
  ['lanes', 'Lanes'],
  ['dead', 'Dead letters'],
]

export const isWork = (place: Route['place']): place is WorkPlace => TABS.some(([one]) => one === place)

/** The head of a place around jobs, with the ways to its neighbours. */
export const WorkHead = ({ here, title, about }: { here: WorkPlace; title: string; about?: JSX.Element | string | null }): JSX.Element => (
  <header class="place-head work-head">
    <h1 id={`${here}-title`}>{title}</h1>
    <span class="quiet work-about">{about}</span>
    <nav class="tabs" aria-label="Around jobs">
      {TABS.map(([place, word]) => (
        <a
          key={place}
          href={address(place)}
          class={place === here ? 'tab current' : 'tab'}
          aria-current={place === here ? 'page' : undefined}
          data-tab={place}
          ref={(tab) => {
            // On a phone the tabs scroll.
            if (place === here) tab?.scrollIntoView({ inline: 'nearest', block: 'nearest' })
          }}
        >
          {word}
        </a>
      ))}
    </nav>
  </header>
)
