import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EngineFault } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { DuckdbPool } from './pool.ts'

setDefaultTimeout(PATIENCE_MS)

let root: string
let pool: DuckdbPool
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'scarab-follower-')))
  pool = new DuckdbPool({ tempFolder: join(root, 'spill'), memoryLimitBytes: 512 * 1024 ** 2, max: 1 })
  await pool.start()
})
afterAll(async () => {
  await pool.close()
  await rm(root, { recursive: true, force: true })
})

const never = new AbortController().signal
const LINES = 20_000
/** Its last line is `12345`. */
const TEXT = `${'1234567\n'.repeat(LINES - 1)}12345\n`

/** The sum of a file of numbers that is followed to `bytes`. */
const sum = async (name: string, bytes: number): Promise<unknown> => {
  const path = join(root, name)
  await writeFile(path, TEXT)
  return pool.use({ folder: root, allowed: [root] }, never, async (session) => {
    await session.follow(path, `${path}.pipe`)
    session.grown(TEXT.length / 2, false)
    session.grown(bytes, true)
    const [row] = await session.run(
      `SELECT count(*), sum(n) FROM read_csv('${path}.pipe', columns = {'n': 'BIGINT'}, header = false, auto_detect = false)`,
    )
    return row?.map(String)
  })
}

test('a file that has grown to its end is read to its end', async () => {
  expect(await sum('whole.csv', TEXT.length)).toEqual([String(LINES), String(1_234_567 * (LINES - 1) + 12_345)])
})

test('a file that cannot be read to its end is no shorter file (I5)', async () => {
  const failure = await sum('short.csv', TEXT.length + 1).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(EngineFault)
  expect(failure).toMatchObject({ failure: { code: 'engine_crashed' } })
})
