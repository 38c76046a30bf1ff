import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { workerBundle, workerSettings } from './cache.ts'
import { ROOT } from './runtimes.mjs'
import { StartFault } from './settings.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scarab-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("the Worker's bundle", () => {
  test('is built again only when one of its files has changed', async () => {
    const main = join(folder, 'main.ts')
    writeFileSync(join(folder, 'words.ts'), 'export const words: string = "first"\n')
    writeFileSync(main, 'import { words } from "./words.ts"\nexport default { fetch: () => new Response(words) }\n')
    const first = await workerBundle(main, folder)
    expect(first).toContain('"first"')

    // What is kept is what is answered: no build took place.
    const [kept] = readdirSync(folder).filter((name) => name.endsWith('.mjs'))
    writeFileSync(join(folder, kept ?? ''), 'kept')
    expect(await workerBundle(main, folder)).toBe('kept')

    writeFileSync(join(folder, 'words.ts'), 'export const words: string = "second"\n')
    expect(await workerBundle(main, folder)).toContain('"second"')
    expect(readdirSync(folder).filter((name) => name.endsWith('.mjs'))).toHaveLength(1)
  })

  test('that cannot be built is named with file and line', async () => {
    const main = join(folder, 'main.ts')
    writeFileSync(main, 'import "./absent.ts"\n')
    await expect(workerBundle(main, folder)).rejects.toThrow(StartFault)
    await expect(workerBundle(main, folder)).rejects.toThrow(/main\.ts:1:7/)
  })

  test('holds nothing of the development issuer: whoever signs tokens is outside', async () => {
    const { main } = await workerSettings(join(ROOT, 'wrangler.toml'), folder)
    const text = await workerBundle(main, folder)
    expect(text.includes('LedgerObject')).toBe(true)
    const issuer = ['keys.ts', 'issuer.ts'].map((name) => readFileSync(join(ROOT, 'edge/embedded', name), 'utf8')).join('')
    for (const word of ['mintCode', 'generateKeyPair', 'developer@', 'invalid_grant']) {
      expect(issuer.includes(word), word).toBe(true)
      expect(text.includes(word), word).toBe(false)
    }
    expect(text.includes('// edge/embedded/')).toBe(false)
  })
})

describe('the settings of wrangler.toml', () => {
  test('are kept, with the name that the state on disk goes by', async () => {
    const toml = join(ROOT, 'wrangler.toml')
    const first = await workerSettings(toml, folder)
    expect(first.options).toMatchObject({ name: 'scarab', durableObjects: { LEDGER: { className: 'LedgerObject', useSQLite: true } } })
    expect(await workerSettings(toml, folder)).toEqual(first)
    expect(readdirSync(folder).filter((name) => name.startsWith('settings-'))).toHaveLength(1)
  })
})
