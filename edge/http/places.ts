import { Hono } from 'hono'
import { stub } from '../addressing.ts'
import { gateOf } from '../identity/wire.ts'
import { type AppEnv, personOf } from './context.ts'
import { allow } from './guard.ts'
import { ledgerOf } from './jobs.ts'

/** What the page shows beside reports and jobs: nodes, tables, and how to sign in. */
export const placesApp = new Hono<AppEnv>()
  .get('/nodes', allow('jobs:read'), async (c) => {
    const [nodes, busy] = await Promise.all([stub(c.env.DIRECTORY, 'directory', c.env).nodes(personOf(c).tenant), ledgerOf(c).busySlots()])
    return c.json({ items: nodes.map((node) => ({ ...node, busy: busy[node.node] ?? 0 })), next: null })
  })
  .get('/tables', allow('catalog:read'), async (c) => {
    const items = await stub(c.env.CATALOG, personOf(c).tenant, c.env).families()
    return c.json({ items: items.map((name) => ({ name })), next: null })
  })
  .get('/session/config', (c) =>
    c.json({ issuers: gateOf(c.env).issuers.map(({ issuer, sign_in }) => ({ issuer, sign_in: sign_in ?? null })) }),
  )
  .get('/session', allow('tasks:read'), (c) => {
    const { tenant, subject, scopes, expires_at } = personOf(c)
    return c.json({ tenant, subject, scopes, expires_at: new Date(expires_at).toISOString() })
  })
