import { describe, expect, it } from 'vitest'
import { NodeId, PoolName, TenantId } from '../contract/ids.ts'
import { type Action, decide } from './decide.ts'
import { hostFault, hostName } from './hosts.ts'
import type { NodeIdentity, Person } from './identity.ts'
import { parseIssuers } from './issuers.ts'
import { matches, servesTenant } from './patterns.ts'
import { SCOPES, type Scope } from './scopes.ts'

const tenant = (name: string) => TenantId.parse(name)
const person = (name: string, scopes: Scope[]): Person => ({
  kind: 'person',
  tenant: tenant(name),
  subject: 's',
  issuer: 'i',
  scopes,
  expires_at: 0,
})
const node: NodeIdentity = {
  kind: 'node',
  name: NodeId.parse('n1'),
  pool: PoolName.parse('default'),
  tenants: ['acme'],
  tasks: ['pay.*'],
  subject: 's',
  issuer: 'i',
  expires_at: 0,
}
const nodeActions: Action[] = ['node:link', 'node:announce', 'node:work']
const verdict = (...question: Parameters<typeof decide>) => {
  const decision = decide(...question)
  return decision.allow ? 'allow' : decision.code
}

describe('decide', () => {
  it('over all scopes, actions and tenants allows exactly the own scope on the own tenant', () => {
    for (const held of SCOPES)
      for (const action of SCOPES)
        for (const owner of ['acme', 'globex', 'acme2'])
          expect(verdict(person('acme', [held]), action, { tenant: tenant(owner) }), `${held} ${action} ${owner}`).toBe(
            held !== action ? 'insufficient_scope' : owner === 'acme' ? 'allow' : 'not_found',
          )
  })

  it("says the same of another tenant's resource as of none", () => {
    const all = person('acme', [...SCOPES])
    for (const action of SCOPES) expect(decide(all, action, { tenant: tenant('globex') })).toEqual(decide(all, action, {}))
  })

  it('keeps people from what nodes do, and nodes from what people do', () => {
    const all = person('acme', [...SCOPES])
    for (const action of nodeActions)
      expect(verdict(all, action, { tenant: tenant('acme'), task: 'pay.a', node: node.name })).toBe('insufficient_scope')
    for (const action of SCOPES) expect(verdict(node, action, { tenant: tenant('acme') })).toBe('insufficient_scope')
  })

  it("holds a node to its token's name, tenants and tasks", () => {
    expect(verdict(node, 'node:link', { node: NodeId.parse('n1') })).toBe('allow')
    expect(verdict(node, 'node:link', { node: NodeId.parse('n2') })).toBe('insufficient_scope')
    expect(verdict(node, 'node:link', {})).toBe('insufficient_scope')
    expect(verdict(node, 'node:announce', { task: 'pay.a' })).toBe('allow')
    expect(verdict(node, 'node:announce', { task: 'hr.a' })).toBe('insufficient_scope')
    expect(verdict(node, 'node:announce', {})).toBe('insufficient_scope')
    expect(verdict(node, 'node:work', { tenant: tenant('acme'), task: 'pay.a' })).toBe('allow')
    expect(verdict(node, 'node:work', { tenant: tenant('acme2') })).toBe('insufficient_scope')
    expect(verdict(node, 'node:work', { tenant: tenant('acme'), task: 'hr' })).toBe('insufficient_scope')
    expect(verdict(node, 'node:work', {})).toBe('insufficient_scope')
  })
})

describe('task patterns', () => {
  it.each([
    ['*', 'anything at/all', true],
    ['a', 'a', true],
    ['a', 'ab', false],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'abc', true],
    ['a*bc*c', 'abc', false],
    ['a**b', 'ab', true],
    ['pay.*', 'payx', false],
    ['.*', 'ab', false],
    ['[a]', 'a', false],
    ['', '', true],
  ])('%j on %j: %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  it('are answered at all where a search that goes back and forth would have no end', () => {
    expect(matches(`${'*a'.repeat(2_000)}*c*b`, `${'a'.repeat(20_000)}b`)).toBe(false)
  })

  it('are not for tenants', () => {
    expect(servesTenant(['*'], 'acme')).toBe(true)
    expect(servesTenant(['acme'], 'acme2')).toBe(false)
    expect(servesTenant(['ac*'], 'acme')).toBe(false)
  })
})

describe('hosts', () => {
  const ask = (url: string, host: string | null, hosts?: string, embedded = true) =>
    hostFault({ url, headers: new Headers(host === null ? {} : { host }) }, { embedded, hosts })

  it('embedded are loopback names and those configured', () => {
    for (const host of ['127.0.0.1:8787', 'localhost', 'LOCALHOST:1', '[::1]:8787', 'localhost.', 'scarab.lan:80'])
      expect(ask(`http://${host}/`, host, 'other, Scarab.lan'), host).toBe(null)
  })

  it('embedded refuse every other name, also by the address or a forged header alone', () => {
    for (const host of ['evil.com', 'localhost.evil.com', '127.0.0.1.evil.com', '127.0.0.2', '[::2]', 'scarab.lan'])
      expect(ask(`http://${host}/`, host)?.code, host).toBe('invalid_host')
    expect(ask('http://localhost/', 'evil.com')?.code).toBe('invalid_host')
    expect(ask('http://evil.com/', 'localhost')?.code).toBe('invalid_host')
    for (const host of ['', 'localhost:x', 'a@localhost', 'localhost:80:80', 'local host']) expect(hostName(host), host).toBe(null)
    expect(ask('http://localhost/', '')?.code).toBe('invalid_host')
  })

  it('are left to the route in production', () => {
    expect(ask('https://reports.example.com/', 'reports.example.com', undefined, false)).toBe(null)
  })
})

describe('the list of issuers', () => {
  const good = { issuer: 'https://id.example.com', jwks_uri: 'https://id.example.com/keys' }
  const read = (list: unknown, embedded = false) => parseIssuers(JSON.stringify(list), { embedded })

  it('fills in defaults', () => {
    expect(read([good])[0]).toMatchObject({ audience: 'scarab', node_audience: 'scarab-node', tenants: 'table', tenant_claim: 'tenant' })
  })

  it('takes plain http only embedded, and there only on loopback', () => {
    const dev = { issuer: 'http://127.0.0.1:9/x', jwks_uri: 'http://127.0.0.1:9/keys' }
    expect(read([dev], true)).toHaveLength(1)
    expect(() => read([dev])).toThrow(/plain http/)
    expect(() => read([{ ...good, jwks_uri: 'http://id.example.com/keys' }])).toThrow(/jwks_uri .*plain http/)
    expect(() => read([{ ...good, jwks_uri: 'http://id.example.com/keys' }], true)).toThrow(/not loopback/)
  })

  it.each([
    ['no list', {}],
    ['a shared-secret algorithm', [{ ...good, algorithms: ['HS256'] }]],
    ['no algorithm', [{ ...good, algorithms: [] }]],
    ['one audience for people and nodes', [{ ...good, node_audience: 'scarab' }]],
    ['an issuer twice', [good, good]],
    ['a file for keys', [{ ...good, jwks_uri: 'file:///etc/keys' }]],
    [
      'two that name any tenant',
      [
        { ...good, tenants: 'any' },
        { ...good, issuer: 'https://b', tenants: 'any' },
      ],
    ],
    ['a tenant that is none', [{ ...good, tenant_map: { a: 'A/B' } }]],
  ])('refuses %s', (_name, list) => {
    expect(() => read(list)).toThrow(/SCARAB_ISSUERS/)
  })

  it('refuses what is not JSON in one line', () => {
    expect(() => parseIssuers('{', { embedded: true })).toThrow(/^SCARAB_ISSUERS is not JSON/)
  })
})
