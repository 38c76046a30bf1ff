import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CatalogCore } from '../catalog/catalog.ts'
import { JobId } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { TableCore } from './core.ts'
import { fakeOutside } from './fake-outside.ts'
import { fakeFile, family, jobNumber, publication, tenant } from './fake-results.ts'
import { drive } from './perform.ts'

/**
 * Databases as version 1 wrote them: job 1 published, 2 withdrawn, 3 rejected, 4 waiting with its bytes. Every later
 * version must open them and go on.
 */
const FIXTURES = {
  table: new URL('golden/table-v1.sqlite', import.meta.url),
  catalog: new URL('golden/catalog-v1.sqlite', import.meta.url),
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scarab-v1-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a database of version 1 is opened, and what waited in it is committed', async () => {
  copyFileSync(FIXTURES.table, join(folder, 'table'))
  copyFileSync(FIXTURES.catalog, join(folder, 'catalog'))
  const now = 1_800_000_000_000
  const store = nodeStore(join(folder, 'table'))
  const catalog = nodeStore(join(folder, 'catalog'))
  const core = new TableCore({ store, clock: () => now, randomId: () => 77n, uuid: () => 'unused', bucket: 'lake' })
  expect(store.all('SELECT job, state FROM results ORDER BY job').map((row) => Object.values(row))).toEqual([
    [jobNumber(1), 'published'],
    [jobNumber(2), 'withdrawn'],
    [jobNumber(3), 'rejected'],
    [jobNumber(4), 'waiting'],
  ])
  const pointer = new CatalogCore(catalog, () => now).pointer(family)
  expect(pointer).toMatch(/^s3:\/\/lake\/t\/acme\/reports\.pnl\/metadata\/00001-/)
  // The objects of that table are not kept: a new catalog stands for them, and the waiting result goes on into it.
  const outside = fakeOutside(() => now, nodeStore())
  await drive(core, outside)
  expect(outside.told.map(({ job, publication: outcome }) => [JobId.parse(job), outcome])).toEqual([[jobNumber(4), 'published']])
  const answer = core.ensureSchema({ tenant, family, columns: [{ name: 'x', type: 'int' }], partition_by: null })
  expect(answer).toMatchObject({ ok: true, schema: { id: '4ad164091e8dfa05b93ac8fde9500951' } })
  if (!answer.ok) throw new Error(answer.detail)
  core.publish([publication({ job: jobNumber(2), schema: answer.schema, files: [fakeFile(answer.schema)] })])
  await drive(core, outside)
  expect(outside.told.at(-1)).toMatchObject({ job: jobNumber(2), publication: 'withdrawn' })
  store.close()
  catalog.close()
})
