import { expect, test } from 'vitest'
import { app } from '../app.ts'
import { methodsOf } from '../methods.ts'
import { OPERATIONS, openApiDocument } from './document.ts'

/** Other protocols have documents of their own: nodes speak the node protocol, readers Iceberg's REST and S3. */
const ELSEWHERE = /^\/(node\/v1|iceberg\/v1)\/|^\/\*$/
/** Hono's `ALL` marks middleware. */
const mounted = app.routes
  .filter(({ method, path }) => method !== 'ALL' && !ELSEWHERE.test(path))
  .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}').replace(/(.)\/$/, '$1')}`)

test('every route of the API is described, and nothing else is', () => {
  expect(new Set(mounted)).toEqual(new Set(OPERATIONS.map(({ method, path }) => `${method.toUpperCase()} ${path}`)))
})

test('the routes left out are the node protocol, the catalog and S3, and no others', () => {
  const out = app.routes.filter(({ method, path }) => method !== 'ALL' && ELSEWHERE.test(path)).map(({ path }) => path)
  expect(new Set(out.map((path) => path.split('/').slice(1, 3).join('/')))).toEqual(new Set(['node/v1', 'iceberg/v1']))
})

const walk = function* (value: unknown, path: string): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [path, Object.fromEntries(Object.entries(value))]
  for (const [name, member] of Object.entries(value)) yield* walk(member, `${path}/${name}`)
}

const resolve = (document: unknown, pointer: string): unknown =>
  pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined), document)

test('every reference leads somewhere within the document', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument('https://scarab.example')))
  const references = [...walk(document, '#')].flatMap(([path, value]) => (typeof value.$ref === 'string' ? [[path, value.$ref]] : []))
  expect(references.length).toBeGreaterThan(30)
  for (const [path, target] of references) {
    expect(target, path).toMatch(/^#\/components\/schemas\//)
    expect(resolve(document, String(target)), `${path} → ${target}`).toBeTypeOf('object')
  }
})

test('schemas say nothing of a dialect or an address of their own', () => {
  for (const [path, value] of walk(openApiDocument('https://scarab.example'), '#'))
    expect(
      ['$schema', '$id', '$defs', 'id'].filter((name) => typeof value[name] === 'string' || (name === '$defs' && name in value)),
      path,
    ).toEqual([])
})

test('the document has the parts that OpenAPI 3.1 demands', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument('https://scarab.example')))
  expect(document.openapi).toMatch(/^3\.1\.\d+$/)
  expect(document.info).toMatchObject({ title: 'Scarab', version: expect.any(String) })
  expect(document.servers).toEqual([{ url: 'https://scarab.example' }])
  for (const [path, item] of Object.entries<Record<string, Record<string, unknown>>>(document.paths)) {
    expect(path).toMatch(/^\//)
    for (const [method, operation] of Object.entries(item)) {
      const at = `${method} ${path}`
      expect(['get', 'post', 'put', 'patch', 'delete'], at).toContain(method)
      expect(operation.summary, at).toBeTypeOf('string')
      const parameters = Array.isArray(operation.parameters) ? operation.parameters : []
      const inPath = parameters.filter(({ in: place, required }) => place === 'path' && required === true).map(({ name }) => `{${name}}`)
      expect(new Set(inPath), at).toEqual(new Set(path.match(/\{\w+\}/g) ?? []))
      const names = parameters.map(({ in: place, name }) => `${place} ${name}`)
      expect(new Set(names).size, at).toBe(names.length)
      const responses = Object.entries(Object(operation.responses))
      expect(responses.length, at).toBeGreaterThan(0)
      for (const [status, answer] of responses) {
        expect(status, at).toMatch(/^([2-5]\d\d|default)$/)
        expect(answer, at).toMatchObject({ description: expect.any(String) })
      }
      const scopes = Array.isArray(operation.security) ? operation.security : []
      for (const one of scopes) expect(Object.keys(one), at).toEqual(['bearer'])
    }
  }
})

test.each([
  ['/v1/jobs', ['GET', 'HEAD']],
  ['/v1/jobs/01kdyak3se2ztwde0000012345', ['GET', 'HEAD', 'DELETE']],
  ['/v1/jobs/x/slice', ['POST']],
  ['/v1/jobs/x/resultXcsv', []],
  ['/v1/jobs/x/y/z', []],
  ['/', []],
])('a path knows its methods: %s', (path, methods) => {
  expect(methodsOf(path)).toEqual(methods)
})

test('another method is refused with the ones there are', async () => {
  const answer = await app.request('/v1/jobs', { method: 'PUT' }, { SCARAB_EMBEDDED: '0' })
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  expect(await answer.json()).toMatchObject({ code: 'method_not_allowed', status: 405 })
})
