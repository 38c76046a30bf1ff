import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { z } from 'zod'
import { findBun, ROOT } from './runtimes.mjs'

/**
 * `npm test`: types, lint, the tests of edge, web and what crosses them (Vitest on Node), and those of the compute node
 * (Bun). The last line is `N passed, N failed`; the process ends with 1 when anything failed.
 */

interface Tally {
  passed: number
  failed: number
}

/**
 * How long a test or a hook may take that says nothing of it. The runners' own patience (Bun's is 5 s) is a stop watch, by which
 * a busy machine fails: only what never ends shall fail by time.
 */
const PATIENCE_MS = 600_000

const PROJECTS = ['edge', 'edge/embedded', 'compute', 'web', 'test']

/** Runs a program with its output on ours; returns its exit code and what it said. */
const run = (command: string, args: string[]): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const)
      from.on('data', (bytes: Buffer) => {
        output += bytes.toString('utf8')
        to.write(bytes)
      })
    child.once('error', (fault) => resolve({ code: 1, output: fault.message }))
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })

const title = (text: string): void => void process.stdout.write(`\n── ${text}\n`)
const bin = (path: string): string => join(ROOT, 'node_modules', path)

/** What failed, told again at the end: a log is read from its tail. */
const failures: string[] = []
/** So much of what a program said last is told again where nothing better is known. */
const LAST_WORDS = 3_000
const tail = (text: string): string => text.trim().slice(-LAST_WORDS)

const check = async (what: string, args: string[]): Promise<Tally> => {
  title(what)
  const { code, output } = await run(process.execPath, args)
  if (code === 0) return { passed: 1, failed: 0 }
  failures.push(`${what}\n${tail(output)}`)
  return { passed: 0, failed: 1 }
}

const types = async (): Promise<Tally> => {
  const tally: Tally = { passed: 0, failed: 0 }
  for (const project of PROJECTS) add(tally, await check(`types: ${project}`, [bin('typescript/bin/tsc'), '-p', project]))
  return tally
}

const lint = (): Promise<Tally> => check('lint and format', [bin('@biomejs/biome/bin/biome'), 'check', '.'])

const VitestReport = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(z.object({ status: z.string(), fullName: z.string(), failureMessages: z.array(z.string()).nullish() })),
    }),
  ),
})

const vitest = async (folder: string): Promise<Tally> => {
  title('tests of the edge, the page, and of everything together (Vitest)')
  const file = join(folder, 'vitest.json')
  const { code, output } = await run(process.execPath, [
    bin('vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--testTimeout=${PATIENCE_MS}`,
    `--hookTimeout=${PATIENCE_MS}`,
    `--outputFile.json=${file}`,
  ])
  try {
    const report = VitestReport.parse(JSON.parse(readFileSync(file, 'utf8')))
    let unloaded = 0
    for (const { name, status, message, assertionResults } of report.testResults) {
      const failed = assertionResults.filter((one) => one.status === 'failed')
      for (const one of failed) failures.push(`${relative(ROOT, name)} > ${one.fullName}\n${one.failureMessages?.join('\n') ?? ''}`)
      // A file that cannot even be loaded fails without a test of its own.
      if (status !== 'failed' || failed.length > 0) continue
      unloaded += 1
      failures.push(`${relative(ROOT, name)}\n${message ?? ''}`)
    }
    return sure(code, output, { passed: report.numPassedTests, failed: report.numFailedTests + unloaded })
  } catch (error) {
    failures.push(`Vitest left no report that can be read: ${String(error)}\n${tail(output)}`)
    return { passed: 0, failed: 1 }
  }
}

const bunTests = async (): Promise<Tally> => {
  title('tests of the compute node (Bun)')
  const bun = process.env.SCARAB_BUN ?? findBun()
  if (!bun) return { passed: 0, failed: 1 }
  const { code, output } = await run(bun, ['test', '--timeout', String(PATIENCE_MS)])
  let since: string[] = []
  for (const line of output.split('\n')) {
    const [, outcome, name] = /^\((pass|fail|skip|todo)\) (.*)$/.exec(line) ?? []
    // Why comes before the name.
    if (outcome === 'fail') failures.push(`bun test > ${name}\n${tail(since.join('\n'))}`)
    since = outcome === undefined ? [...since, line] : []
  }
  const count = (word: string): number => Number(new RegExp(`^\\s*(\\d+) ${word}$`, 'm').exec(output)?.[1] ?? 0)
  return sure(code, output, { passed: count('pass'), failed: count('fail') })
}

/** A run that ended badly has failed, whatever it counted: by an error that belongs to no test, of which only its output tells. */
const sure = (code: number, output: string, tally: Tally): Tally => {
  if (code === 0 || tally.failed > 0) return tally
  const at = output.search(/Unhandled (Error|Rejection)/)
  failures.push(`ended with ${code}, although no test failed\n${at < 0 ? tail(output) : output.slice(at, at + LAST_WORDS)}`)
  return { ...tally, failed: 1 }
}

const add = (to: Tally, one: Tally): void => {
  to.passed += one.passed
  to.failed += one.failed
}

const folder = mkdtempSync(join(tmpdir(), 'scarab-test-'))
const total: Tally = { passed: 0, failed: 0 }
try {
  for (const part of [types, lint, () => vitest(folder), bunTests]) add(total, await part())
} finally {
  rmSync(folder, { recursive: true, force: true })
}
if (failures.length > 0) title(`what failed\n\n${failures.join('\n\n').slice(0, 20_000)}`)
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed\n`)
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
