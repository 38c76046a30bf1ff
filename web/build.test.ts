import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPage } from './build.mjs'

const MIB = 1024 * 1024
/** What a first visit loads before it shows anything, compressed: scripts and style. */
const FIRST_LOAD_BYTES = 60 * 1024

let out: string
let html: string
let assets: string[]
let modules: string[]

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'scarab-build-'))
  modules = (await buildPage({ outdir: out })).modules
  html = await readFile(join(out, 'index.html'), 'utf8')
  assets = await readdir(join(out, 'assets'))
})
afterAll(() => rm(out, { recursive: true, force: true }))

const asset = (name: string) => readFile(join(out, 'assets', name))

describe('the built page', () => {
  it('has no file that static assets would refuse', async () => {
    for (const name of assets) expect((await stat(join(out, 'assets', name))).size, name).toBeLessThanOrEqual(25 * MIB)
  })

  it('names whatever never changes by its content', () => {
    for (const name of assets) if (name !== 'manifest.json') expect(name).toMatch(/^[a-z_-]+-[0-9a-f]{12}\.(js|css|svg|wasm\.br)$/)
  })

  it('ships the engine compressed, whole, and from its own origin only', async () => {
    const { assets: addresses } = JSON.parse((await asset('manifest.json')).toString())
    for (const address of [addresses.duckdbWasm, addresses.parquetWasm]) {
      const raw = brotliDecompressSync(await asset(`${address.replace('/assets/', '')}.br`))
      expect(raw.subarray(0, 4).toString('latin1')).toBe('\0asm')
    }
    expect(assets).toContain(addresses.duckdbWorker.replace('/assets/', ''))
  })

  it('has no script or style in its HTML, and every address in it exists', () => {
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=/)
    const addresses = [...html.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)].map((match) => match[1] ?? '')
    expect(addresses.length).toBeGreaterThanOrEqual(3)
    for (const address of addresses) expect(assets).toContain(address)
  })

  it('asks for little before it shows something', async () => {
    const first = [...html.matchAll(/="\/assets\/([^"]+\.(?:js|css))"/g)].map((match) => match[1] ?? '')
    let bytes = 0
    for (const name of first) bytes += brotliCompressSync(await asset(name)).length
    expect(bytes).toBeLessThan(FIRST_LOAD_BYTES)
  })

  it('bundles no schema library: the contract gives the page types and pure functions only', () => {
    expect(modules.filter((path) => path.endsWith('edge/contract/slice-form.ts'))).toHaveLength(1)
    expect(modules.filter((path) => path.includes('/zod/'))).toEqual([])
  })

  it('leads every script to scripts that exist', async () => {
    for (const name of assets.filter((one) => one.endsWith('.js') && !one.startsWith('duckdb-eh-worker'))) {
      const text = (await asset(name)).toString()
      for (const [, other] of text.matchAll(/(?:from|import\(?)\s*"\.\/([^"]+\.js)"/g))
        expect(assets, `${name} → ${other}`).toContain(other)
    }
  })
})
