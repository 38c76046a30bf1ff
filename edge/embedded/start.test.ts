import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { JobEvent } from '../contract/events.ts'
import { isTerminal, Job } from '../contract/jobs.ts'
import { readEvents } from './events.ts'
import { processesOf } from './processes.ts'
import { ROOT } from './runtimes.mjs'

/** The launcher from outside, as a stranger and their scripts use it: by its environment, its lines, its signals and its files. */

const BOOTSTRAP = join(ROOT, 'edge/embedded/bootstrap.mjs')

interface Launcher {
  process: ChildProcess
  lines: string[]
  origin: string
  /** Resolves with the line that matches. */
  line(pattern: RegExp): Promise<string>
  exit: Promise<number | null>
}

let root: string
let state: string
const running: Launcher[] = []
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'scarab-start-'))
  mkdirSync(join(root, 'tasks'))
  writeFileSync(join(root, 'tasks/answer.sql'), '-- name: answer\n-- db: duckdb\nSELECT 42 AS answer;\n')
  // Would run for hours: only a stop ends it.
  const forever = 'SELECT sum(a.range * b.range) AS s FROM range(1000000) a, range(10000000) b'
  writeFileSync(join(root, 'tasks/slow.sql'), `-- name: slow\n-- db: duckdb\n${forever};\n`)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
afterEach(async () => {
  for (const one of running.splice(0)) {
    one.process.kill('SIGTERM')
    await one.exit
  }
})

const launch = (command: string, args: string[] = [], env: Record<string, string> = {}): Launcher => {
  const child = spawn(process.execPath, [BOOTSTRAP, command, ...args], {
    env: {
      ...process.env,
      SCARAB_STATE: state,
      SCARAB_TASKS: join(root, 'tasks'),
      SCARAB_DEMO: '0',
      SCARAB_PORT: '0',
      SCARAB_DRAIN_SECONDS: '5',
      npm_lifecycle_event: '',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const waiting: { pattern: RegExp; give: (line: string) => void }[] = []
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', (line) => {
      if (line === '') return
      lines.push(line)
      for (const one of waiting.filter(({ pattern }) => pattern.test(line))) one.give(line)
    })
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return {
    process: child,
    lines,
    origin: '',
    line: (pattern) => {
      const known = lines.find((line) => pattern.test(line))
      if (known !== undefined) return Promise.resolve(known)
      return new Promise((resolve, reject) => {
        waiting.push({ pattern, give: resolve })
        void exit.then(() => reject(new Error(`ended without ${pattern}:\n${lines.join('\n')}`)))
      })
    },
    exit,
  }
}

const start = async (env: Record<string, string> = {}): Promise<Launcher> => {
  const one = launch('start', [], env)
  running.push(one)
  one.origin = (await one.line(/^ready http:\/\/127\.0\.0\.1:\d+$/)).slice('ready '.length)
  return one
}

const token = (): string => readFileSync(join(state, 'dev-token'), 'utf8').trim()
const ask = (origin: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${origin}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json', ...init.headers },
  })
const submit = async (origin: string): Promise<Job> => {
  const answer = await ask(origin, '/v1/tasks/answer/jobs', { method: 'POST', headers: { prefer: 'wait=30' }, body: '{}' })
  return ended(origin, Job.parse(await answer.json()))
}
const ended = async (origin: string, job: Job): Promise<Job> => {
  if (isTerminal(job.state)) return job
  return ended(origin, Job.parse(await (await ask(origin, `/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } })).json()))
}

/** Submits the endless job and waits until it runs. */
const submitSlow = async (origin: string): Promise<Job> => {
  const answer = await ask(origin, '/v1/tasks/slow/jobs', { method: 'POST', body: '{}' })
  const job = Job.parse(await answer.json())
  const events = await ask(origin, `/v1/jobs/${job.id}/events`)
  if (!events.body) throw new Error('no events')
  for await (const { data } of readEvents(events.body)) {
    const event = JobEvent.safeParse(JSON.parse(data))
    if (event.success && event.data.state === 'running') break
  }
  return job
}

describe('npm start', () => {
  test('serves, keeps its state over a restart, and ends with 0 on SIGTERM', async () => {
    state = join(root, 'restart')
    const first = await start()
    expect(statSync(join(state, 'dev-token')).mode & 0o777).toBe(0o600)
    const job = await submit(first.origin)
    expect(job.state).toBe('succeeded')
    const before = token()
    first.process.kill('SIGTERM')
    expect(await first.exit).toBe(0)
    expect(processesOf(state)).toEqual([])

    const second = await start()
    const again = await fetch(`${second.origin}/v1/jobs/${job.id}`, { headers: { authorization: `Bearer ${before}` } })
    expect(Job.parse(await again.json()).state).toBe('succeeded')
  })

  test('a drain hands a job that it cannot finish back without burning a try', async () => {
    state = join(root, 'drain')
    const first = await start({ SCARAB_DRAIN_SECONDS: '1' })
    const job = await submitSlow(first.origin)
    first.process.kill('SIGTERM')
    // 0 only where it was out before it would have ended itself by force.
    expect(await first.exit).toBe(0)

    const second = await start({ SCARAB_DRAIN_SECONDS: '0' })
    const events = await ask(second.origin, `/v1/jobs/${job.id}/events`)
    if (!events.body) throw new Error('no events')
    const states: string[] = []
    for await (const { data } of readEvents(events.body)) {
      const event = JobEvent.safeParse(JSON.parse(data))
      if (event.success) states.push(`${event.data.state} ${event.data.attempt ?? ''}`)
      if (states.at(-1) === 'running 2') break
    }
    const again = Job.parse(await (await ask(second.origin, `/v1/jobs/${job.id}`)).json())
    expect(again).toMatchObject({ state: 'running', attempt: 2, tries: 1 })
  })

  test('a second Ctrl-C ends everything at once', async () => {
    state = join(root, 'impatient')
    const one = await start({ SCARAB_DRAIN_SECONDS: '60' })
    await submitSlow(one.origin)
    one.process.kill('SIGINT')
    await one.line(/^draining: running jobs get 60 s/)
    // One key press can arrive twice by way of npm; the launcher takes for the second one what comes half a second later.
    const press = setInterval(() => one.process.kill('SIGINT'), 100)
    const code = await one.exit
    clearInterval(press)
    // After the minute of the drain it would be 0.
    expect(code).toBe(130)
    running.length = 0
  })

  test('a second instance on the same state is told so in one line', async () => {
    state = join(root, 'second')
    const first = await start()
    const second = launch('start')
    expect(await second.exit).toBe(1)
    expect(second.lines).toHaveLength(1)
    expect(second.lines[0]).toContain(`another instance is running on ${state} (${first.origin}, process`)
  })

  test('a busy port and an unwritable folder are one clear line each', async () => {
    state = join(root, 'busy')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      const busy = launch('start', [], { SCARAB_PORT: String(port) })
      expect(await busy.exit).toBe(1)
      expect(busy.lines).toEqual([`scarab: port ${port} is in use: stop what uses it, or choose another by SCARAB_PORT`])
    } finally {
      server.close()
    }
    const unwritable = launch('start', [], { SCARAB_STATE: join(root, 'tasks/answer.sql/state') })
    expect(await unwritable.exit).toBe(1)
    expect(unwritable.lines).toHaveLength(1)
    expect(unwritable.lines[0]).toMatch(/cannot write to the state folder .* \(ENOTDIR\)/)
  })

  test('a wrong configuration of the node ends the start with its reason', async () => {
    state = join(root, 'config')
    writeFileSync(join(root, 'node.toml'), '[db.sales]\ntype = "oracle"\n')
    const one = launch('start', [], { SCARAB_CONFIG: join(root, 'node.toml') })
    expect(await one.exit).toBe(1)
    expect(one.lines.join('\n')).toMatch(/node\.toml: db\.sales\.type: .*oracle/)
    expect(processesOf(state)).toEqual([])
  })

  test('a task file with a fault is told on the terminal, once, and the other tasks are served', async () => {
    state = join(root, 'faulty')
    const tasks = join(root, 'faulty-tasks')
    mkdirSync(tasks)
    writeFileSync(
      join(tasks, 'late.sql'),
      '-- name: late\n-- max_runtime: soon\nSELECT 1 AS a;\n-- name: kept\n-- retenton: 3d\nSELECT 1 AS a;\n-- name: elsewhere\n-- db: warehouse\nSELECT 1 AS a;\n',
    )
    const one = await start({ SCARAB_TASKS: `${join(root, 'tasks')},${tasks},${join(root, 'nowhere')}` })
    const told = await one.line(/late\.sql:2: error: /)
    expect(told).toContain('task "late": max_runtime: "soon" is not a duration')
    const slip = await one.line(/late\.sql:5: warning: .*did you mean "retention"\?/)
    await one.line(/nowhere: error: there is no such folder of task files/)
    expect((await submit(one.origin)).state).toBe('succeeded')
    for (const pid of processesOf(state, 'bun.exe').filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('compute/main.ts'),
    ))
      process.kill(pid, 'SIGKILL')
    await one.line(/node embedded ended \(SIGKILL\)/)
    expect((await submit(one.origin)).state).toBe('succeeded')
    expect(one.lines.filter((line) => line.includes('late.sql'))).toEqual([told, slip])
  })

  test('a killed node and a killed workerd come back by themselves', async () => {
    state = join(root, 'kills')
    const one = await start()
    const nodes = processesOf(state, 'bun.exe').filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('compute/main.ts'))
    expect(nodes).toHaveLength(1)
    for (const pid of nodes) process.kill(pid, 'SIGKILL')
    await one.line(/node embedded ended \(SIGKILL\): starting it again in 0\.2 s/)
    expect((await submit(one.origin)).state).toBe('succeeded')

    const workerds = processesOf(state, 'workerd')
    expect(workerds).toHaveLength(1)
    for (const pid of workerds) process.kill(pid, 'SIGKILL')
    await one.line(/workerd ended and was started again/)
    expect((await submit(one.origin)).state).toBe('succeeded')
  })

  test("a second process with the embedded node's token is told so and ends, and the embedded node serves on", async () => {
    state = join(root, 'twice')
    const one = await start()
    const second = launch('node', [
      '--edge',
      one.origin,
      '--token-file',
      join(state, 'node-token'),
      '--name',
      'second',
      '--spool',
      join(root, 'twice-spool'),
    ])
    expect(await second.exit).not.toBe(0)
    expect(second.lines.at(-1)).toContain('another process connected as "embedded": give each node a token of its own')
    await one.line(/node embedded ended \(exit code 78: .*another process connected as "embedded".*\): starting it again in/)
    expect((await submit(one.origin)).state).toBe('succeeded')
  })

  test('after a kill -9 of the launcher the next start ends what was left and goes on', async () => {
    state = join(root, 'orphans')
    const first = await start()
    const job = await submit(first.origin)
    const pid = z.object({ pid: z.int() }).parse(JSON.parse(readFileSync(join(state, 'running.json'), 'utf8'))).pid
    process.kill(pid, 'SIGKILL')
    await first.exit
    running.length = 0
    const second = await start({ SCARAB_PORT: new URL(first.origin).port })
    expect(processesOf(state, 'workerd')).toHaveLength(1)
    const found = await ask(second.origin, `/v1/jobs/${job.id}`)
    expect(Job.parse(await found.json()).state).toBe('succeeded')
  })
})

describe('the other commands', () => {
  test('token makes tokens that the edge takes, open makes a sign-in address', async () => {
    state = join(root, 'commands')
    const one = await start()
    const made = launch('token', ['--tenant', 'acme', '--ttl', '5m'])
    expect(await made.exit).toBe(0)
    expect(made.lines).toHaveLength(1)
    const tasks = await fetch(`${one.origin}/v1/tasks`, { headers: { authorization: `Bearer ${made.lines[0]}` } })
    expect(tasks.status).toBe(200)

    const opened = launch('open')
    expect(await opened.exit).toBe(0)
    expect(opened.lines[0]).toMatch(new RegExp(`^${one.origin}/#code=[A-Za-z0-9_-]{20,}$`))
  })

  test('open says when nothing is running, and a wrong command names the right ones', async () => {
    state = join(root, 'nothing')
    const opened = launch('open')
    expect(await opened.exit).toBe(1)
    expect(opened.lines).toEqual([`scarab: nothing is running on ${state}: start it by npm start`])
    const wrong = launch('serve')
    expect(await wrong.exit).toBe(1)
    expect(wrong.lines[0]).toContain('unknown command "serve": use one of start, node, test')
  })

  test('token and node answer wrong options by one line with the value and the remedy, and make nothing', async () => {
    state = join(root, 'options')
    const file = join(root, 'some-token')
    writeFileSync(file, 'x')
    const wrong: [string, string[], RegExp][] = [
      ['token', ['--tenant'], /'--tenant <value>' argument missing: write npm run -s token -- \[--tenant NAME\]/],
      ['token', ['acme'], /Unexpected argument 'acme'.*: write npm run -s token/],
      ['token', ['--tenant', 'A B'], /tenant "A B": a tenant is/],
      ['token', ['--ttl', 'soon'], /"soon" is not a time to live: write 90s/],
      ['token', ['--node', 'a b'], /--node "a b" is not possible: a node is/],
      ['node', [], /--edge is missing: give the edge's address/],
      ['node', ['--edge', 'ftp://x', '--token-file', file], /--edge "ftp:\/\/x" is not an http address/],
      ['node', ['--edge', 'http://127.0.0.1:1'], /--token-file is missing/],
      ['node', ['--edge', 'http://127.0.0.1:1', '--token-file', `${file}s`], /--token-file .*some-tokens cannot be read \(ENOENT\)/],
      ['node', ['--edge', 'http://127.0.0.1:1', '--token-file', file, '--slots', 'two'], /--slots: "two" is not a whole number from 1 to/],
    ]
    for (const [command, options, line] of wrong) {
      const one = launch(command, options)
      expect(await one.exit, `${command} ${options.join(' ')}`).not.toBe(0)
      expect(one.lines).toEqual([expect.stringMatching(line)])
    }
    const odd = launch('token', ['--scope', 'jobs:read jobs:al'])
    expect(await odd.exit).toBe(0)
    expect(odd.lines.filter((line) => line.startsWith('scarab:'))).toEqual([
      expect.stringMatching(/no route asks for "jobs:al"; known are tasks:read/),
    ])
  })

  test('one more node by token file brings its own tasks and queue', async () => {
    state = join(root, 'more')
    mkdirSync(join(root, 'more-tasks'))
    writeFileSync(join(root, 'more-tasks/more.sql'), '-- name: only_there\n-- db: duckdb\n-- queue: special\nSELECT 43 AS answer;\n')
    const one = await start()
    const made = launch('token', ['--node', 'extra', '--tenants', 'demo'])
    expect(await made.exit).toBe(0)
    const file = join(root, 'extra-token')
    writeFileSync(file, `${made.lines[0]}\n`, { mode: 0o600 })
    const node = launch('node', [
      '--edge',
      one.origin,
      '--token-file',
      file,
      '--name',
      'extra',
      '--queue',
      'special',
      '--spool',
      join(root, 'spool'),
    ])
    running.unshift(node)
    await node.line(/node extra: 4 slots/)
    const answer = await ask(one.origin, '/v1/tasks/answer/jobs', {
      method: 'POST',
      headers: { prefer: 'wait=30' },
      body: JSON.stringify({ queue: 'special' }),
    })
    expect((await ended(one.origin, Job.parse(await answer.json()))).state).toBe('succeeded')
    node.process.kill('SIGTERM')
    expect(await node.exit).toBe(0)
    running.shift()
  })
})
