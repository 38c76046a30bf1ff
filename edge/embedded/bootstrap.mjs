#!/usr/bin/env node
/**
 * The door to every npm script: `node edge/embedded/bootstrap.mjs <command> [options]`. Runs on a bare Node 20: installs
 * what is missing, finds the newer Node and the Bun that npm brought, and hands over to `edge/embedded/<command>.ts`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { dependenciesAreCurrent, findBun, findNode, MIN_NODE, QUIET_ENVIRONMENT, ROOT } from './runtimes.mjs'

/** Commands that serve until told to stop: they get a process group of their own, so that Ctrl-C reaches them once, through us. */
const SERVING = ['start', 'node']
const COMMANDS = [...SERVING, 'test', 'token', 'open', 'bench', 'peers', 'deploy-check']

/** npm passes a terminal's Ctrl-C on, although we got it already; a person is slower than this. */
const SAME_SIGNAL_MS = 250
/** How often we look whether npm, which started us, still lives. */
const PARENT_CHECK_MS = 1_000

/** @param {string} line @returns {never} */
const fail = (line) => {
  process.stderr.write(`scarab: ${line}\n`)
  process.exit(1)
}

/** npm as it was called, so that its version and settings stay the same. @param {string[]} options @returns {number} */
const npm = (options) => {
  const cli = process.env.npm_execpath
  const [command, first] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []]
  // The output of a command may be read by a program (`npm run -s token`), so npm speaks to stderr.
  const run = spawnSync(command, [...first, ...options], { cwd: ROOT, stdio: ['ignore', 2, 2] })
  if (run.error) fail(`npm could not be started (${run.error.message}): install Node ≥ 20 with npm`)
  return run.status ?? 1
}

const install = () => {
  if (dependenciesAreCurrent()) return
  const why = existsSync(join(ROOT, 'node_modules')) ? 'node_modules is older than package-lock.json' : 'first start'
  process.stderr.write(`scarab: ${why}: installing dependencies (npm ci; a minute or so) …\n`)
  if (npm(['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']) !== 0)
    fail('the dependencies could not be installed: see npm above')
}

/** @returns {string} */
const bun = () => {
  const found = findBun()
  if (found) return found
  process.stderr.write('scarab: Bun is there only as a stub (its install script did not run): repairing by npm rebuild bun …\n')
  npm(['rebuild', 'bun', '--ignore-scripts=false', '--loglevel=error'])
  return (
    findBun() ??
    fail(
      `no Bun binary for ${process.platform} ${process.arch}: run "npm ci" again without --omit=optional, or remove node_modules and start again`,
    )
  )
}

const [command = '', ...options] = process.argv.slice(2)
if (!COMMANDS.includes(command)) fail(`unknown command "${command}": use one of ${COMMANDS.join(', ')}`)
install()
const node =
  findNode() ??
  fail(
    `Node ${MIN_NODE.join('.')} or newer is needed, this is ${process.versions.node} and npm has no newer one for ${process.platform} ${process.arch}: install Node 24`,
  )

const serving = SERVING.includes(command)
const child = spawn(node.path, [...node.flags, join(ROOT, 'edge/embedded', `${command}.ts`), ...options], {
  stdio: serving ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
  detached: serving,
  env: {
    ...process.env,
    ...QUIET_ENVIRONMENT,
    SCARAB_BUN: bun(),
    PATH: `${join(ROOT, 'node_modules/.bin')}${delimiter}${process.env.PATH ?? ''}`,
  },
})
child.on('error', (error) => fail(`${node.path} could not be started: ${error.message}`))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))

let last = 0
/** @param {NodeJS.Signals} signal */
const pass = (signal) => {
  if (!serving && signal === 'SIGINT') return
  if (Date.now() - last < SAME_SIGNAL_MS) return
  last = Date.now()
  child.kill(signal)
}
process.on('SIGINT', () => pass('SIGINT'))
process.on('SIGTERM', () => pass('SIGTERM'))
process.on('SIGHUP', () => pass('SIGTERM'))

// npm killed outright cannot pass anything on: then its place as our parent is taken by another process.
const parent = process.ppid
if (serving && process.env.npm_lifecycle_event)
  setInterval(() => {
    if (process.ppid !== parent) pass('SIGTERM')
  }, PARENT_CHECK_MS).unref()
