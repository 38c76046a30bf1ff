import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { workerBundle } from '../../edge/embedded/cache.ts'
import { ROOT, sources, textOf } from './sources.ts'

/** A file has one reason to exist; what is longer has several. */
const MAX_FILE_BYTES = 20_000
/** A test may list more cases of its one reason. */
const MAX_TEST_BYTES = 24_000
/** A specification or a list is looked up in, not read from end to end. */
const MAX_DOCUMENT_BYTES = 40_000

test('no source file is over 20 kB', () => {
  const files = sources('ts', 'tsx', 'mts', 'mjs', 'css', 'sql', 'md')
  expect(files.length).toBeGreaterThan(300)
  const limit = (path: string): number =>
    path.endsWith('.test.ts') ? MAX_TEST_BYTES : path.endsWith('.md') ? MAX_DOCUMENT_BYTES : MAX_FILE_BYTES
  expect(files.map((path) => ({ path, bytes: statSync(join(ROOT, path)).size })).filter(({ path, bytes }) => bytes > limit(path))).toEqual(
    [],
  )
})

test('no type is switched off', () => {
  for (const path of sources('ts', 'tsx')) expect(/@ts-(ignore|nocheck)/.test(textOf(path)), path).toBe(false)
})

test('the Worker has nothing of the development issuer in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'scarab-bundle-'))
  try {
    const bundle = await workerBundle(join(ROOT, 'edge/worker.ts'), folder)
    // esbuild names each file that went in.
    expect(bundle).toContain('// edge/http/app.ts')
    expect(bundle).not.toContain('// edge/embedded/')
    for (const word of ['mintCode', 'generateKeyPair(', 'dev-token', 'keys.json', 'developer@', 'node:http', 'token_endpoint', '/sign-in'])
      expect(bundle.includes(word), word).toBe(false)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
