import { join, resolve } from 'node:path'
import { tenantWeights } from '../contract/weights.ts'
import { ROOT } from './runtimes.mjs'

/** A fault of the surroundings that a person can mend: printed as one line, without a stack. */
export class StartFault extends Error {
  override readonly name = 'StartFault'
}

export const DEFAULT_PORT = 8787
export const DEFAULT_DRAIN_SECONDS = 10
const MAX_DRAIN_SECONDS = 3_600

/** The whole way out is promised to take 15 s at most with the drain time that nobody changed; a shorter drain leaves no less time to end the rest. */
const LEAVE_MS = 14_500
/** What the end of everything may take beyond a long drain. */
const LEAVE_MARGIN_MS = 4_500
/** After this the launcher ends all by force, and itself with 1. */
export const leaveMilliseconds = (drainSeconds: number): number => Math.max(LEAVE_MS, drainSeconds * 1000 + LEAVE_MARGIN_MS)

/** The launcher's own settings; all come from the environment (`SCARAB_*`), as scripts of others rely on. */
export interface Settings {
  /** Absolute. */
  state: string
  /** 0 asks for a free one. */
  port: number
  /** Absolute folders of task files; null leaves them to the node's configuration, or to `tasks`. */
  tasks: string[] | null
  /** The node's TOML file, absolute. */
  config: string | null
  demo: boolean
  drainSeconds: number
  /** Extra host names the Worker answers to, comma separated. */
  hosts: string
  /** JSON: weights of tenants in the fair choice (edge/contract/weights.ts). */
  tenantWeights: string
}

const number = (name: string, text: string | undefined, fallback: number, max: number): number => {
  if (text === undefined || text.trim() === '') return fallback
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new StartFault(`${name}="${text}" is not a whole number from 0 to ${max}: correct it or leave it out (default ${fallback})`)
  return value
}

/** Read here once, so that a wrong one is said before anything starts. */
const weights = (text: string): string => {
  try {
    tenantWeights(text)
    return text
  } catch (fault) {
    throw new StartFault(fault instanceof Error ? fault.message : String(fault))
  }
}

/** Names as a `Host` header has them, without port (edge/identity/hosts.ts). */
const HOST_NAME = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)$/i

const hosts = (list: string): string => {
  for (const name of list.split(',').map((part) => part.trim()))
    if (name !== '' && !HOST_NAME.test(name))
      throw new StartFault(`SCARAB_HOSTS names "${name}": write host names without scheme and port, separated by commas`)
  return list
}

const flag = (name: string, text: string | undefined): boolean => {
  const value = text?.trim() ?? ''
  if (value !== '' && value !== '0' && value !== '1')
    throw new StartFault(`${name}="${text}" is neither 0 nor 1: write 0 to serve only, or leave it out`)
  return value !== '0'
}

const foldersOf = (list: string): string[] =>
  list
    .split(/[:,]/)
    .map((folder) => folder.trim())
    .filter((folder) => folder !== '')
    .map((folder) => resolve(folder))

/** Throws `StartFault`. Relative paths start at the working folder, which under npm is the repository. */
export const readSettings = (env: Record<string, string | undefined>): Settings => ({
  state: resolve(env.SCARAB_STATE || join(ROOT, '.scarab')),
  port: number('SCARAB_PORT', env.SCARAB_PORT, DEFAULT_PORT, 65_535),
  tasks: env.SCARAB_TASKS ? foldersOf(env.SCARAB_TASKS) : null,
  config: env.SCARAB_CONFIG ? resolve(env.SCARAB_CONFIG) : null,
  demo: flag('SCARAB_DEMO', env.SCARAB_DEMO),
  drainSeconds: number('SCARAB_DRAIN_SECONDS', env.SCARAB_DRAIN_SECONDS, DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS),
  hosts: hosts(env.SCARAB_HOSTS ?? ''),
  tenantWeights: weights(env.SCARAB_TENANT_WEIGHTS ?? ''),
})

/** Prints a `StartFault` as one line and anything else with its stack; the process then ends with 1. */
export const explain = (fault: unknown): void => {
  if (fault instanceof StartFault) process.stderr.write(`scarab: ${fault.message}\n`)
  else process.stderr.write(`scarab: unexpected: ${fault instanceof Error ? (fault.stack ?? fault.message) : String(fault)}\n`)
}
