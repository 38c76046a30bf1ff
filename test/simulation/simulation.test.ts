import { expect, test, vi } from 'vitest'
import { tell } from './history.ts'

vi.mock('cloudflare:workers', () => ({
  DurableObject: class {
    readonly ctx: unknown
    readonly env: unknown
    constructor(ctx: unknown, env: unknown) {
      this.ctx = ctx
      this.env = env
    }
  },
}))
vi.mock('../../edge/fault.ts', () => ({ fault: (env: { fault(name: string): Promise<void> }, name: string) => env.fault(name) }))
vi.mock('../../edge/iceberg/footer.ts', () => ({ checkFooter: () => Promise.resolve({ ok: true }) }))
vi.mock('../../edge/identity/grants.ts', () => ({ signGrant: (_secret: string, grant: object) => Promise.resolve(JSON.stringify(grant)) }))
vi.mock('../../edge/iceberg/avro-file.ts', async () => {
  const { writeAvroNow, readAvroNow } = await import('./avro-double.ts')
  return { writeAvroFile: async (file: never) => writeAvroNow(file), readAvroFile: async (bytes: Uint8Array) => readAvroNow(bytes) }
})

test('one history', async () => {
  const from = Number(process.env.SCARAB_SEED ?? 1)
  const count = Number(process.env.SCARAB_HISTORIES ?? 1)
  const began = performance.now()
  let steps = 0
  let bad = 0
  for (let seed = from; seed < from + count; seed++) {
    if (process.env.SCARAB_TICK) (await import('node:fs')).writeFileSync('/tmp/tick', String(seed))
    const told = await tell(seed)
    steps += told.steps
    if (told.violations.length > 0) {
      bad++
      if (bad < 6) console.log(seed, told.violations.slice(0, 5).join('\n'))
    }
    if (count === 1 && process.env.SCARAB_LOG) console.log(told.log.join('\n'))
  }
  console.log(`${bad} bad of ${count}, ${steps} steps, ${(performance.now() - began) / count} ms`)
  expect(bad).toBe(0)
})
