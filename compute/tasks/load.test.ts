import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PATIENCE_MS } from '../test-patience.ts'
import { loadTasks } from './load.ts'

setDefaultTimeout(PATIENCE_MS)

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'scarab-tasks-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** A folder of its own with these files. */
const folderOf = async (files: Record<string, string | Uint8Array>): Promise<string> => {
  const folder = await mkdtemp(join(root, 'f-'))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}
const load = (...folders: string[]) => loadTasks({ folders, sources: [] })
const names = (loaded: Awaited<ReturnType<typeof load>>) => loaded.tasks.map((task) => String(task.name))

test('folders are read with what lies below them, in the order of names', async () => {
  const folder = await folderOf({
    'z.sql': '-- name: c\nSELECT 1\n-- name: a\nSELECT 2',
    'sub/deep/y.sql': '-- name: b\nSELECT 3',
    'notes.txt': 'SELECT',
    '.hidden/x.sql': '-- name: h\nSELECT 4',
    'node_modules/x/x.sql': '-- name: m\nSELECT 5',
  })
  const loaded = await load(folder)
  expect(loaded.problems).toEqual([])
  expect(names(loaded)).toEqual(['a', 'b', 'c'])
  expect(loaded.tasks[1]).toMatchObject({ folder: join(folder, 'sub/deep'), file: join(folder, 'sub/deep/y.sql'), line: 1 })
})

test('a file can be named in the place of a folder', async () => {
  const folder = await folderOf({ 'a.sql': '-- name: a\nSELECT 1', 'b.sql': '-- name: b\nSELECT 1' })
  expect(names(await load(join(folder, 'a.sql')))).toEqual(['a'])
})

test('links to files are followed, links to folders are not, and a file is read once', async () => {
  const folder = await folderOf({ 'real/a.sql': '-- name: a\nSELECT 1' })
  await mkdir(join(folder, 'links'))
  await symlink(join(folder, 'real/a.sql'), join(folder, 'links/a.sql'))
  await symlink(folder, join(folder, 'links/loop'))
  expect(names(await load(join(folder, 'links')))).toEqual(['a'])
  const twice = await load(folder, join(folder, 'real'), join(folder, 'links'))
  expect(names(twice)).toEqual(['a'])
  expect(twice.problems).toEqual([])
})

test('a name that stands in two places is refused in both', async () => {
  const folder = await folderOf({ 'a.sql': '-- name: x\nSELECT 1\n\n-- name: y\nSELECT 2', 'b.sql': '\n-- name: x\nSELECT 1' })
  const loaded = await load(folder)
  expect(names(loaded)).toEqual(['y'])
  expect(loaded.problems).toMatchObject([
    { code: 'duplicate_name', severity: 'error', task: 'x', line: 1, message: expect.stringContaining('b.sql:2') },
    { code: 'duplicate_name', severity: 'error', task: 'x', line: 2, message: expect.stringContaining('a.sql:1') },
  ])
})

test('what cannot be read is a problem, and the rest loads', async () => {
  const folder = await folderOf({
    'a.sql': '-- name: a\nSELECT 1',
    'latin1.sql': new Uint8Array([0x2d, 0x2d, 0x20, 0xe9]),
    'large.sql': new Uint8Array(4 * 1024 * 1024 + 1).fill(0x20),
  })
  await symlink(join(folder, 'nowhere'), join(folder, 'dangling.sql'))
  const loaded = await load(folder, join(folder, 'missing'))
  expect(names(loaded)).toEqual(['a'])
  expect(loaded.problems.map(({ file, message }) => [file.slice(folder.length + 1), message]).sort()).toEqual([
    ['dangling.sql', expect.stringContaining('ENOENT')],
    ['large.sql', expect.stringContaining('split it')],
    ['latin1.sql', expect.stringContaining('not UTF-8')],
    ['missing', expect.stringContaining('no such folder')],
  ])
})
