import { expect, test, vi } from 'vitest'
import { tell } from './history.ts'

vi.mock('cloudflare:workers', () => import('./stand-ins.ts'))
vi.mock('../../edge/fault.ts', () => import('./stand-ins.ts'))
vi.mock('../../edge/iceberg/footer.ts', () => import('./stand-ins.ts'))
vi.mock('../../edge/identity/grants.ts', () => import('./stand-ins.ts'))
vi.mock('../../edge/iceberg/avro-file.ts', async (real) => (await import('./avro-double.ts')).avroDouble(await real()))

test('the same seed tells the same history', { timeout: 600_000 }, async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const first = await tell(seed)
    const second = await tell(seed)
    expect(second.log, `seed ${seed}`).toEqual(first.log)
    expect(second.steps, `seed ${seed}`).toBe(first.steps)
  }
})

test('different seeds tell different histories', { timeout: 600_000 }, async () => {
  const digests = new Set<string>()
  for (let seed = 1; seed <= 10; seed++) digests.add((await tell(seed)).digest)
  expect(digests.size).toBe(10)
})
