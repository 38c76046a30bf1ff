import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dependenciesAreCurrent, findBun, findNode, isNewEnough, ROOT } from './runtimes.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'scarab-runtimes-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const put = (path: string, content: string | Buffer): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content, { mode: 0o755 })
}
const packages = (versions: Record<string, object>): string => JSON.stringify({ packages: { '': {}, ...versions } })

describe('the dependencies', () => {
  test('are missing in a fresh clone', () => {
    put('package-lock.json', packages({ 'node_modules/a': { version: '1.0.0' } }))
    expect(dependenciesAreCurrent(root)).toBe(false)
  })

  test('are current when every package of the lock file is there in its version', () => {
    put(
      'package-lock.json',
      packages({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/other-platform': { version: '2.0.0', optional: true } }),
    )
    put('node_modules/.package-lock.json', packages({ 'node_modules/a': { version: '1.0.0' } }))
    expect(dependenciesAreCurrent(root)).toBe(true)
    put('package-lock.json', packages({ 'node_modules/a': { version: '1.0.1' } }))
    expect(dependenciesAreCurrent(root)).toBe(false)
  })

  test('installed by Bun, which keeps no list, are looked up one by one', () => {
    put('package-lock.json', packages({ 'node_modules/a': { version: '1.0.0' } }))
    put('node_modules/a/package.json', JSON.stringify({ version: '1.0.0' }))
    expect(dependenciesAreCurrent(root)).toBe(true)
  })
})

describe('the runtimes', () => {
  test('the stub that npm leaves without install scripts is not taken for Bun', () => {
    put('node_modules/bun/bin/bun.exe', '#!/bin/sh\nexit 1\n')
    expect(findBun(root)).toBeNull()
    const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch
    put(`node_modules/@oven/bun-${process.platform}-${cpu}/bin/bun`, Buffer.alloc(2_000_000))
    expect(findBun(root)).toContain('@oven')
  })

  test('a Node that cannot run here is passed over', () => {
    put('node_modules/.bin/node', '#!/bin/sh\nexit 1\n')
    expect(findNode(root)?.path).toBe(process.execPath)
  })

  test('the Node from npm is found, and is new enough', () => {
    expect(findNode(ROOT)).not.toBeNull()
    expect(['v20.20.2', '22.11.9', 'v22.12.0', '24.0.0', '26.1.0'].map(isNewEnough)).toEqual([false, false, true, true, true])
  })
})
