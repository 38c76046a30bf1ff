import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openFolder, readNote, writeNote, writePrivate } from './folder.ts'
import { DEFAULT_DRAIN_SECONDS, leaveMilliseconds, readSettings, StartFault } from './settings.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'scarab-folder-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('a state folder', () => {
  test('belongs to one instance, and the second is told which', () => {
    const path = join(root, 'state')
    const first = openFolder(path)
    writeNote(path, { pid: 4711, origin: 'http://127.0.0.1:8787', issuer: 'http://127.0.0.1:1', control: 'c' })
    expect(() => openFolder(path)).toThrow(/another instance is running on .*state \(http:\/\/127\.0\.0\.1:8787, process 4711\)/)
    first.close()
    openFolder(path).close()
  })

  test('that cannot be made is named with the reason and the remedy', () => {
    writeFileSync(join(root, 'file'), '')
    expect(() => openFolder(join(root, 'file/state'))).toThrow(/cannot write to the state folder .*file\/state \(ENOTDIR\).*SCARAB_STATE/)
  })

  test('is refused, and not tried for ever, where a file system makes no folders', () => {
    const script = `import(${JSON.stringify(join(import.meta.dirname, 'folder.ts'))}).then(({ openFolder }) => openFolder('/proc/state'))`
    const { status, stderr } = spawnSync(process.execPath, ['--eval', script], { encoding: 'utf8', timeout: 60_000 })
    expect(status).toBe(1)
    expect(stderr).toContain('cannot write to the state folder /proc/state (ENOENT)')
  })

  test('keeps secrets from other users', () => {
    const path = join(root, 'secret')
    writePrivate(path, 'one')
    writePrivate(path, 'two')
    expect(readFileSync(path, 'utf8')).toBe('two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('a damaged note counts as none', () => {
    mkdirSync(join(root, 'state'))
    writeFileSync(join(root, 'state/running.json'), 'half a fi')
    expect(readNote(join(root, 'state'))).toBeNull()
  })
})

describe('settings', () => {
  test('have the documented defaults', () => {
    expect(readSettings({})).toMatchObject({ port: 8787, config: null, demo: true, drainSeconds: 10 })
    expect(readSettings({}).state).toMatch(/\/\.scarab$/)
    expect(readSettings({}).tasks).toBeNull()
  })

  test('leave the launcher less than 15 s for its way out, and a longer drain its time', () => {
    expect(leaveMilliseconds(DEFAULT_DRAIN_SECONDS)).toBeLessThan(15_000)
    expect(leaveMilliseconds(0)).toBe(leaveMilliseconds(DEFAULT_DRAIN_SECONDS))
    expect(leaveMilliseconds(60)).toBeGreaterThan(60_000)
  })

  test('come from the environment', () => {
    const settings = readSettings({
      SCARAB_STATE: '/s',
      SCARAB_PORT: '0',
      SCARAB_TASKS: '/a:/b,/c',
      SCARAB_CONFIG: '/n.toml',
      SCARAB_DEMO: '0',
      SCARAB_DRAIN_SECONDS: '3',
    })
    expect(settings).toEqual({
      state: '/s',
      port: 0,
      tasks: ['/a', '/b', '/c'],
      config: '/n.toml',
      demo: false,
      drainSeconds: 3,
      hosts: '',
      tenantWeights: '',
    })
  })

  test('a wrong number is named', () => {
    expect(() => readSettings({ SCARAB_PORT: '80 80' })).toThrow(StartFault)
    expect(() => readSettings({ SCARAB_PORT: '70000' })).toThrow('SCARAB_PORT="70000"')
    expect(() => readSettings({ SCARAB_DRAIN_SECONDS: '-1' })).toThrow('SCARAB_DRAIN_SECONDS="-1"')
    expect(() => readSettings({ SCARAB_TENANT_WEIGHTS: 'acme=3' })).toThrow('SCARAB_TENANT_WEIGHTS is not JSON')
    expect(() => readSettings({ SCARAB_TENANT_WEIGHTS: '{"acme": 0}' })).toThrow(
      'SCARAB_TENANT_WEIGHTS: "acme" is 0; write names of tenants and weights from 0.01 to 100',
    )
    expect(() => readSettings({ SCARAB_TENANT_WEIGHTS: '{"A B": 1}' })).toThrow('SCARAB_TENANT_WEIGHTS: "A B" is 1; write')
    expect(() => readSettings({ SCARAB_TENANT_WEIGHTS: '[3]' })).toThrow('SCARAB_TENANT_WEIGHTS: "[3]"; write')
    expect(readSettings({ SCARAB_TENANT_WEIGHTS: '{"acme": 3}' }).tenantWeights).toBe('{"acme": 3}')
  })

  test('a flag is 0 or 1, and a host is a name alone', () => {
    expect(['0', '1', ''].map((text) => readSettings({ SCARAB_DEMO: text }).demo)).toEqual([false, true, true])
    expect(() => readSettings({ SCARAB_DEMO: 'no' })).toThrow('SCARAB_DEMO="no" is neither 0 nor 1')
    expect(readSettings({ SCARAB_HOSTS: 'scarab.example.com, [::2]' }).hosts).toBe('scarab.example.com, [::2]')
    expect(() => readSettings({ SCARAB_HOSTS: 'a.example,https://b.example' })).toThrow('SCARAB_HOSTS names "https://b.example"')
  })
})
