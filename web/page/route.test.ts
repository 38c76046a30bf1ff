import { describe, expect, it } from 'vitest'
import { address, readRoute } from './route.ts'

describe('places in the address', () => {
  it('finds every place again, whatever a report is called', () => {
    expect(readRoute(address('reports', 'a/b ?#ü'))).toMatchObject({ place: 'reports', report: 'a/b ?#ü' })
    expect(readRoute(address('jobs', 'j1', new URLSearchParams({ order: '-a b' })))).toMatchObject({ place: 'jobs', job: 'j1' })
    expect(readRoute(address('jobs', 'j1', new URLSearchParams({ order: '-a b' }))).query.get('order')).toBe('-a b')
    expect(readRoute(address('tables', 'reports.x'))).toMatchObject({ place: 'tables', table: 'reports.x' })
    expect(readRoute(address('groups', 'g1'))).toMatchObject({ place: 'groups', group: 'g1' })
    expect(readRoute(address('schedules'))).toMatchObject({ place: 'schedules', form: false })
    expect(readRoute(address('schedules', 'new', new URLSearchParams({ task: 'a b' })))).toMatchObject({ place: 'schedules', form: true })
    for (const place of ['lanes', 'dead'] as const) expect(readRoute(address(place))).toMatchObject({ place })
    expect(readRoute(address('nodes'))).toMatchObject({ place: 'nodes' })
  })

  it('leads everything else to the reports', () => {
    for (const hash of ['', '#', '#/', '#/nowhere', '#/reports/%E0%A4%A'])
      expect(readRoute(hash)).toMatchObject({ place: 'reports', report: null })
  })
})
