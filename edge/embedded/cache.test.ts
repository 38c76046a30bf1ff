import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keepPage, workerBundle, workerSettings } from './cache.ts'
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

describe('pages that were built', () => {
  test('stay while an instance may serve them, and go a day after they were last used', () => {
    const now = Date.UTC(2026, 10, 21)
    const hour = 3_600
    for (const [name, age] of [
      ['page-mine', 90],
      ['page-of-a-running-one', 2],
      ['page-of-another-running-one', 23],
      ['page-forgotten', 25],
      ['draft-killed', 25],
      ['worker-kept', 90],
    ] as const) {
      mkdirSync(join(folder, name))
      utimesSync(join(folder, name), now / 1000 - age * hour, now / 1000 - age * hour)
    }
    expect(keepPage(folder, join(folder, 'page-mine'), now)).toBe(join(folder, 'page-mine'))
    const left = ['page-mine', 'page-of-a-running-one', 'page-of-another-running-one', 'worker-kept']
    expect(readdirSync(folder).sort()).toEqual(left)
    // What was used just now is kept for another day.
    keepPage(folder, join(folder, 'page-of-another-running-one'), now + 20 * hour * 1000)
    expect(readdirSync(folder).sort()).toEqual(left)
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
