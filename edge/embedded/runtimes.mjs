import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Finds the two runtimes that Scarab brings along from npm. Plain JavaScript without a dependency: it runs on the
 * system's Node 20 before anything is installed, and later inside the launcher.
 */

/** The repository's folder. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Miniflare's and wrangler's own minimum. */
export const MIN_NODE = [22, 12]

/** npm's `bun` package links its binary in a postinstall script; without that, `.bin/bun` is a text stub below this size. */
const STUB_BYTES = 1_000_000

/** Telemetry, update checks and lookups off: nothing but npm talks to a network. */
export const QUIET_ENVIRONMENT = {
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  X_LOCAL_OBSERVABILITY: 'false',
  X_LOCAL_EXPLORER: 'false',
  DO_NOT_TRACK: '1',
}

/** @param {string} version "v24.21.0" or "24.21.0" @returns {boolean} */
export const isNewEnough = (version) => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  const [needMajor = 0, needMinor = 0] = MIN_NODE
  return major > needMajor || (major === needMajor && minor >= needMinor)
}

/** @param {string} binary @returns {string | null} what it answers to `--version`, or null when it cannot run here */
const versionOf = (binary) => {
  const answer = spawnSync(binary, ['--version'], { encoding: 'utf8', timeout: 20_000 })
  return answer.status === 0 ? answer.stdout.trim() : null
}

/**
 * The Node that runs the launcher: the one from npm, else the current one when it is new enough.
 * @param {string} [root]
 * @returns {{ path: string, flags: string[] } | null}
 */
export const findNode = (root = ROOT) => {
  const bundled = [join(root, 'node_modules/.bin/node'), join(root, `node_modules/node-linux-${process.arch}/bin/node`)]
  for (const path of bundled) {
    if (!existsSync(path)) continue
    const version = versionOf(path)
    if (version && isNewEnough(version)) return { path, flags: flagsFor(version) }
  }
  return isNewEnough(process.versions.node) ? { path: process.execPath, flags: flagsFor(process.versions.node) } : null
}

/** Node 22 runs TypeScript and SQLite behind flags, which it also accepts where they are no longer needed. @param {string} version */
const flagsFor = (version) => {
  const quiet = ['--disable-warning=ExperimentalWarning']
  return /^v?22\./.test(version) ? ['--experimental-strip-types', '--experimental-sqlite', ...quiet] : quiet
}

/** Names of npm's platform packages of Bun that could run here, best first. */
const bunPackages = () => {
  const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  return [
    `bun-${platform}-${cpu}`,
    `bun-${platform}-${cpu}-musl`,
    `bun-${platform}-${cpu}-baseline`,
    `bun-${platform}-${cpu}-musl-baseline`,
  ]
}

/** Bun from npm, where it runs; the postinstall stub is passed over. @param {string} [root] @returns {string | null} */
export const findBun = (root = ROOT) => {
  const places = [
    join(root, 'node_modules/bun/bin/bun.exe'),
    ...bunPackages().map((name) => join(root, 'node_modules/@oven', name, 'bin/bun')),
  ]
  for (const place of places) {
    if (!existsSync(place)) continue
    const path = realpathSync(place)
    if (statSync(path).size > STUB_BYTES) return path
  }
  return null
}

/** True when node_modules holds what the lock file says. @param {string} [root] @returns {boolean} */
export const dependenciesAreCurrent = (root = ROOT) => {
  const wanted = readPackages(join(root, 'package-lock.json'))
  const present = readPackages(join(root, 'node_modules/.package-lock.json'))
  if (!wanted) return false
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.optional || entry.link) continue
    const version = present ? present[path]?.version : versionIn(join(root, path))
    if (version !== entry.version) return false
  }
  return true
}

/**
 * @typedef {{ version?: string, optional?: boolean, link?: boolean }} LockedPackage
 * @param {string} path @returns {Record<string, LockedPackage> | null}
 */
const readPackages = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return null
  }
}

/** @param {string} folder @returns {string | undefined} */
const versionIn = (folder) => {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
  } catch {
    return undefined
  }
}
