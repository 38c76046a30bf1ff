import { test, vi } from 'vitest'
import { playShare } from './share.ts'

vi.mock('cloudflare:workers', () => import('./stand-ins.ts'))
vi.mock('../../edge/fault.ts', () => import('./stand-ins.ts'))
vi.mock('../../edge/iceberg/footer.ts', () => import('./stand-ins.ts'))
vi.mock('../../edge/identity/grants.ts', () => import('./stand-ins.ts'))
// Few together are a crowd here, which one transaction does not get to the end of.
vi.mock('../../edge/ledger/limits.ts', async (real) => ({ ...(await real<object>()), CROWD_PER_TURN: 2, RECALLED_AT_ONCE: 1 }))
vi.mock('../../edge/iceberg/avro-file.ts', async (real) => (await import('./avro-double.ts')).avroDouble(await real()))

test('no history of an odd seed breaks an invariant (I1, I2, I3, I4, I8, I9)', { timeout: 3_600_000 }, () => playShare(1))
