import { expect, test } from 'vitest'
import { app } from './app.ts'

/** The platform's files: what is none of them is answered with the page, as `wrangler.toml` says. */
const ASSETS = {
  fetch: async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    if (pathname === '/assets/page-0123abcd.js') return new Response('code', { headers: { 'content-type': 'text/javascript' } })
    if (pathname === '/assets/engine-0123abcd.wasm.br') return new Response('packed', { headers: { 'content-type': 'text/plain' } })
    return new Response('<!doctype html>', { headers: { 'content-type': 'text/html; charset=utf-8' } })
  },
}
const get = (path: string, method = 'GET'): Promise<Response> =>
  Promise.resolve(app.request(path, { method }, { ASSETS, SCARAB_EMBEDDED: '0', SCARAB_ISSUERS: '[]' }))

test('the page has one address, and its files are kept for ever', async () => {
  const page = await get('/')
  expect([page.status, await page.text()]).toEqual([200, '<!doctype html>'])
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  for (const path of ['/assets/page-0123abcd.js', '/assets/engine-0123abcd.wasm']) {
    const file = await get(path)
    expect([file.status, file.headers.get('cache-control')], path).toEqual([200, 'public, max-age=31536000, immutable'])
  }
})

test('what is no file is 404, so that nobody keeps the page for a script that has gone', async () => {
  for (const path of ['/assets/gone-0123abcd.js', '/assets/gone-0123abcd.wasm.js', '/nothing', '//v1/jobs', '/v2/jobs']) {
    const answer = await get(path)
    expect([answer.status, answer.headers.get('cache-control')], path).toEqual([404, 'no-store'])
    expect(await answer.json(), path).toMatchObject({ code: 'not_found' })
  }
  const head = await get('/nothing', 'HEAD')
  expect([head.status, await head.text()]).toEqual([404, ''])
})

test('an answer of the API is for its reader alone unless it says otherwise, and never read as another type', async () => {
  for (const path of ['/healthz', '/openapi.json', '/v1/jobs', '/v1/nothing', '/iceberg/v1/config']) {
    const { headers } = await get(path)
    expect([headers.get('cache-control'), headers.get('x-content-type-options')], path).toEqual(['no-store', 'nosniff'])
  }
})
