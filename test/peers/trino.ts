import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { parseLossless } from '../../edge/iceberg/json.ts'
import { run } from './python.ts'
import type { Rows, SqlPeer } from './sql-peer.ts'

const VERSION = '476'
const MIN_JAVA = 24
const INSTALL_LIMIT_MS = 30 * 60_000
const START_LIMIT_MS = 5 * 60_000
const ANSWER_LIMIT_MS = 3 * 60_000
/** After being asked to end. */
const END_LIMIT_MS = 20_000

const Page = z.object({
  nextUri: z.string().optional(),
  data: z.array(z.array(z.unknown())).optional(),
  error: z.object({ message: z.string() }).optional(),
})

/** A JDK's folder. Throws where none is new enough: Java comes with the machine, not from a package registry. */
const findJava = async (): Promise<string> => {
  const machines = existsSync('/usr/lib/jvm') ? readdirSync('/usr/lib/jvm').map((name) => join('/usr/lib/jvm', name)) : []
  for (const home of [process.env.JAVA_HOME ?? '', ...machines]) {
    if (home === '' || !existsSync(join(home, 'bin/java'))) continue
    const { said } = await run(join(home, 'bin/java'), ['-version'], '', 20_000)
    if (Number(/version "(\d+)/.exec(said)?.[1] ?? 0) >= MIN_JAVA) return home
  }
  throw new Error(`Trino ${VERSION} needs Java ${MIN_JAVA} or newer: install a JDK, or name it by JAVA_HOME`)
}

const must = async (what: string, command: string, args: string[]): Promise<void> => {
  const { code, output, said } = await run(command, args, '', INSTALL_LIMIT_MS)
  if (code !== 0) throw new Error(`${what}: ${`${output}${said}`.slice(-2_000)}`)
}

/** The server with its Iceberg plugin only: 300 MB of a gigabyte. It is fetched by Maven, once. */
const install = async (cache: string, say: (line: string) => void): Promise<string> => {
  const home = join(cache, `trino-${VERSION}`)
  if (existsSync(home)) return home
  say(`installing Trino ${VERSION} into ${cache} (once, 820 MB to fetch) …`)
  const work = join(cache, 'trino-work')
  rmSync(work, { recursive: true, force: true })
  const unpacked = join(work, 'server')
  mkdirSync(unpacked, { recursive: true })
  const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get'
  const artifact = `-Dartifact=io.trino:trino-server:${VERSION}:tar.gz`
  await must('Maven could not fetch Trino', 'mvn', [
    '-B',
    '-q',
    `-Dmaven.repo.local=${join(work, 'm2')}`,
    plugin,
    artifact,
    '-Dtransitive=false',
  ])
  const archive = join(work, `m2/io/trino/trino-server/${VERSION}/trino-server-${VERSION}.tar.gz`)
  await must('Trino could not be unpacked', 'tar', ['xzf', archive, '-C', unpacked, '--strip-components=1'])
  const plugins = join(unpacked, 'plugin')
  for (const name of readdirSync(plugins)) if (name !== 'iceberg') rmSync(join(plugins, name), { recursive: true })
  renameSync(unpacked, home)
  rmSync(work, { recursive: true })
  return home
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

const settings = (folder: string, home: string, port: number): Record<string, string> => ({
  'node.properties': `node.environment=peers\nnode.id=peer\nnode.data-dir=${join(folder, 'data')}\nnode.bind-ip=127.0.0.1\nnode.internal-address=127.0.0.1\nplugin.dir=${join(home, 'plugin')}\n`,
  'jvm.config':
    '-Xmx1g\n-XX:+UseG1GC\n-XX:+ExitOnOutOfMemoryError\n-XX:ReservedCodeCacheSize=256M\n-Djdk.attach.allowAttachSelf=true\n--add-opens=java.base/java.nio=ALL-UNNAMED\n',
  'config.properties': `coordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port=${port}\ndiscovery.uri=http://127.0.0.1:${port}\nquery.max-memory=300MB\nquery.max-memory-per-node=300MB\nmemory.heap-headroom-per-node=300MB\ncatalog.management=dynamic\n`,
})

/** Starts Trino on a free port of loopback. Throws with its last words where it does not come up. */
export const openTrino = async (cache: string, say: (line: string) => void): Promise<SqlPeer> => {
  const [java, home] = [await findJava(), await install(cache, say)]
  const folder = mkdtempSync(join(tmpdir(), 'scarab-trino-'))
  const port = await freePort()
  const etc = join(folder, 'etc')
  mkdirSync(join(etc, 'catalog'), { recursive: true })
  for (const [name, text] of Object.entries(settings(folder, home, port))) writeFileSync(join(etc, name), text)
  const env = { ...process.env, JAVA_HOME: java, PATH: `${join(java, 'bin')}:${process.env.PATH ?? ''}` }
  const child = spawn(join(home, 'bin/launcher'), ['run', '--etc-dir', etc], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
  const end = async (): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MS)
    await gone
    clearTimeout(timer)
    rmSync(folder, { recursive: true, force: true })
  }
  let said = ''
  const up = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), START_LIMIT_MS)
    const heard = (bytes: Buffer): void => {
      said = `${said}${bytes.toString()}`.slice(-4_000)
      if (said.includes('SERVER STARTED')) resolve(true)
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    child.on('error', () => resolve(false))
    void gone.then(() => resolve(false)).finally(() => clearTimeout(timer))
  })
  if (!(await up)) {
    await end()
    throw new Error(`Trino did not start:\n${said.slice(-2_000)}`)
  }

  const statement = async (sql: string, catalog: string): Promise<Rows> => {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS)
    const headers = { 'x-trino-user': 'peer', 'x-trino-catalog': catalog, 'x-trino-client-capabilities': 'PARAMETRIC_DATETIME' }
    const rows: Rows = []
    let answer = await fetch(`http://127.0.0.1:${port}/v1/statement`, { method: 'POST', body: sql, headers, signal })
    for (;;) {
      const text = await answer.text()
      if (!answer.ok) throw new Error(`Trino: ${answer.status} ${text.slice(0, 500)}`)
      const page = Page.parse(parseLossless(text))
      if (page.error) throw new Error(`Trino: ${page.error.message}`)
      for (const row of page.data ?? []) rows.push(row.map((value) => (value === null ? null : String(value))))
      if (page.nextUri === undefined) return rows
      answer = await fetch(page.nextUri, { headers, signal })
    }
  }
  /** A catalog for each token: its name stands for `lake`. */
  const catalogs = new Map<string, Promise<string>>()
  const attach = async ({ uri, token }: { uri: string; token: string }): Promise<string> => {
    const name = `lake_${catalogs.size}`
    const { origin } = new URL(uri)
    const properties = {
      'iceberg.catalog.type': 'rest',
      'iceberg.rest-catalog.uri': uri,
      'iceberg.rest-catalog.security': 'OAUTH2',
      'iceberg.rest-catalog.oauth2.token': token,
      'iceberg.rest-catalog.vended-credentials-enabled': 'true',
      'fs.native-s3.enabled': 'true',
      's3.endpoint': origin,
      's3.region': 'us-east-1',
      's3.path-style-access': 'true',
    }
    const list = Object.entries(properties).map(([key, value]) => `"${key}" = '${value}'`)
    await statement(`CREATE CATALOG ${name} USING iceberg WITH (${list.join(', ')})`, 'system')
    return name
  }
  return {
    name: 'Trino',
    versions: `trino-server==${VERSION}`,
    tables:
      "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema NOT IN ('information_schema', 'system') ORDER BY 1",
    ask: async (sql, at) => {
      const known = catalogs.get(at.token) ?? attach(at)
      catalogs.set(at.token, known)
      const catalog = await known
      return statement(sql.replaceAll('lake.', `${catalog}.`), catalog)
    },
    end,
  }
}
