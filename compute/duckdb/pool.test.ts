import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EngineFault } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { DuckdbPool } from './pool.ts'
import type { DuckdbSession } from './session.ts'

setDefaultTimeout(PATIENCE_MS)

const MIB = 1024 ** 2
const ENDLESS = 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3'

let root: string
let pool: DuckdbPool
/** A timer that never rings, for pools whose statements stop by themselves however slow the machine is. */
const graces: number[] = []
const neverRings = (ms: number): Timer => {
  graces.push(ms)
  return setTimeout(() => undefined, 0)
}
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'scarab-pool-')))
  pool = new DuckdbPool({ tempFolder: join(root, 'spill'), memoryLimitBytes: 512 * MIB, max: 1, warm: 1, after: neverRings })
  await pool.start()
})
afterAll(async () => {
  await pool.close()
  await rm(root, { recursive: true, force: true })
})

const never = (): AbortSignal => new AbortController().signal
const open = { folder: '/', allowed: null }
const faultOf = async (work: Promise<unknown>): Promise<EngineFault['failure']> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof EngineFault) return error.failure
  throw new Error(`expected an EngineFault, got ${String(error)}`)
}
/** Aborts once the statement is on its way in the child. */
const abortWhenRunning = (controller: AbortController, session: DuckdbSession, sql: string): Promise<unknown> => {
  const running = session.run(sql)
  // Any message that the child answers after the statement was sent shows that it has taken the statement.
  session.digest(import.meta.path).then(
    () => controller.abort(),
    () => controller.abort(),
  )
  return running
}
const gone = async (pid: number): Promise<void> => {
  for (;;) {
    try {
      process.kill(pid, 0)
      const state = await Bun.file(`/proc/${pid}/stat`).text()
      if (/\) Z /.test(state)) return
    } catch {
      return
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a pool of DuckDB children', () => {
  test('runs a statement in a fresh database each time', async () => {
    await pool.use(open, never(), (session) => session.run('CREATE TABLE left_over (a INT)'))
    const failure = await faultOf(pool.use(open, never(), (session) => session.run('SELECT * FROM left_over')))
    expect(failure.code).toBe('invalid_sql')
  })

  test('lets work wait for its turn, in order', async () => {
    const order: number[] = []
    await Promise.all(
      [1, 2, 3].map((n) =>
        pool.use(open, never(), async (session) => {
          await session.run('SELECT 1')
          order.push(n)
        }),
      ),
    )
    expect(order).toEqual([1, 2, 3])
    expect(pool.pids).toHaveLength(1)
  })

  test('interrupts a running statement, and gives it less than a second to stop', async () => {
    const controller = new AbortController()
    let how = ''
    graces.length = 0
    const failure = await faultOf(
      pool.use(
        open,
        controller.signal,
        (session) => abortWhenRunning(controller, session, ENDLESS),
        (stopped) => {
          how = stopped
        },
      ),
    )
    expect(failure.class).toBe('cancelled')
    expect(how).toBe('interrupted')
    expect(graces).toHaveLength(1)
    expect(graces[0]).toBeLessThan(1_000)
    expect(await pool.use(open, never(), (session) => session.run('SELECT 41 + 1'))).toEqual([[42]])
  })

  test('kills the process of a statement that does not hear', async () => {
    const controller = new AbortController()
    const [pid = 0] = pool.pids
    let how = ''
    const deaf = new DuckdbPool({ tempFolder: join(root, 'deaf'), memoryLimitBytes: 512 * MIB, max: 1 })
    const failure = await faultOf(
      deaf.use(
        open,
        controller.signal,
        (session) => {
          const running = session.run(ENDLESS)
          // DuckDB hears nothing while it is in one long call, and a process that stands still hears nothing for certain.
          for (const deafened of deaf.pids) process.kill(deafened, 'SIGSTOP')
          controller.abort()
          return running
        },
        (stopped) => {
          how = stopped
        },
      ),
    )
    expect(failure.class).toBe('cancelled')
    expect(how).toBe('killed')
    expect(await deaf.use(open, never(), (session) => session.run('SELECT 1'))).toEqual([[1]])
    await deaf.close()
    expect(pool.pids).toEqual([pid])
  })

  test('cancels work that still waits for its turn', async () => {
    const blocker = new AbortController()
    const waiting = new AbortController()
    const first = faultOf(
      pool.use(open, blocker.signal, async (session) => {
        waiting.abort()
        return abortWhenRunning(blocker, session, ENDLESS)
      }),
    )
    const second = faultOf(pool.use(open, waiting.signal, (session) => session.run('SELECT 1')))
    expect((await second).class).toBe('cancelled')
    expect((await first).class).toBe('cancelled')
  })

  test('loses one piece of work with a child that dies, and goes on', async () => {
    const failure = await faultOf(
      pool.use(open, never(), (session) => {
        const running = session.run(ENDLESS)
        for (const pid of pool.pids) process.kill(pid, 'SIGKILL')
        return running
      }),
    )
    expect(failure).toMatchObject({ class: 'internal', code: 'engine_crashed' })
    expect(failure.message).toContain('SIGKILL')
    expect(await pool.use(open, never(), (session) => session.run('SELECT 1'))).toEqual([[1]])
  })

  test('starts another child for work that waited for one which died on its way back', async () => {
    const two = new DuckdbPool({ tempFolder: join(root, 'two'), memoryLimitBytes: 256 * MIB, max: 2, warm: 1 })
    await two.start()
    const [kept] = two.pids
    const held = Promise.withResolvers<void>()
    const holding = two.use(open, never(), () => held.promise)
    await two.use(open, never(), (session) => session.run('SELECT 1'))
    const waiting = two.use(open, never(), (session) => session.run('SELECT 2'))
    for (const pid of two.pids) if (pid !== kept) process.kill(pid, 'SIGKILL')
    expect(await waiting).toEqual([[2]])
    held.resolve()
    await holding
    await two.close()
  })

  test.if(process.platform === 'linux')('a statement that took much memory leaves none of it short for the next one', async () => {
    const small = new DuckdbPool({ tempFolder: join(root, 'heavy'), memoryLimitBytes: 100 * MIB, max: 1 })
    const length = (text: string, bytes: number) =>
      small.use(open, never(), (session) => session.run(`SELECT length(repeat(${text}, ${bytes}))`))
    // A hundred megabytes are far below what the process may have, and were refused where the larger text had been before.
    expect(await length('(SELECT CAST(max(range) AS VARCHAR) FROM range(1))', 300 * MIB)).toEqual([[String(300 * MIB)]])
    expect(await length("'x'", 100 * MIB)).toEqual([[String(100 * MIB)]])
    await small.close()
  })

  test.if(process.platform === 'linux')('a full disk is told as the trouble of the node, without the path of its file', async () => {
    const full = "COPY (SELECT range AS i FROM range(1000000)) TO '/dev/full' (FORMAT csv, USE_TMP_FILE false)"
    const failure = await faultOf(pool.use(open, never(), (session) => session.run(full)))
    expect(failure).toEqual({
      class: 'limit',
      code: 'node_disk',
      message: 'the node could not write a file of this job: No space left on device',
    })
  })

  test('ends a statement that needs more memory than its process may have', async () => {
    const small = new DuckdbPool({ tempFolder: join(root, 'small'), memoryLimitBytes: 100 * MIB, max: 1 })
    const heap = await faultOf(small.use(open, never(), (session) => session.run("SELECT length(repeat('x', 2000000000))")))
    expect(heap).toMatchObject({ class: 'limit', code: 'out_of_memory' })
    const buffers = await faultOf(small.use(open, never(), (session) => session.run('SELECT length(list(i)) FROM range(30000000) t(i)')))
    expect(buffers).toMatchObject({ class: 'limit', code: 'out_of_memory' })
    await small.close()
  })

  test('hands its temporary folders back', async () => {
    const folder = join(root, 'temporary')
    const short = new DuckdbPool({ tempFolder: folder, memoryLimitBytes: 256 * MIB, max: 1 })
    await short.use(open, never(), (session) => session.run('SELECT 1'))
    const [pid = 0] = short.pids
    await short.close()
    await gone(pid)
    expect((await faultOf(short.use(open, never(), (session) => session.run('SELECT 1')))).code).toBe('engine_closed')
  })

  test('children end with their parent, also when it is killed', async () => {
    const script = join(root, 'parent.ts')
    await writeFile(
      script,
      `import { DuckdbPool } from ${JSON.stringify(join(import.meta.dir, 'pool.ts'))}
const pool = new DuckdbPool({ tempFolder: ${JSON.stringify(join(root, 'orphan'))}, memoryLimitBytes: ${256 * MIB}, max: 2, warm: 2 })
await pool.start()
void pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) => session.run(${JSON.stringify(ENDLESS)}))
await pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) => session.run('SELECT 1'))
console.log(JSON.stringify(pool.pids))
`,
    )
    const parent = Bun.spawn([process.execPath, script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    for await (const chunk of parent.stdout) {
      text += new TextDecoder().decode(chunk)
      if (text.includes('\n')) break
    }
    const pids: number[] = JSON.parse(text)
    expect(pids).toHaveLength(2)
    parent.kill('SIGKILL')
    await parent.exited
    await Promise.all(pids.map(gone))
  })
})
