import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, pageFolder, workerBundle, workerSettings } from './cache.ts'
import { type SupervisedChild, supervise } from './child.ts'
import { claimPort, type EmbeddedEdge, startEdge } from './edge.ts'
import { openFolder, removeNote, writeNote, writePrivate } from './folder.ts'
import { issuerConfig, startIssuer } from './issuer.ts'
import { openKeys } from './keys.ts'
import { endLeftovers, INSTANCE_VARIABLE, killQuietly, processesOf } from './processes.ts'
import { findBun, ROOT } from './runtimes.mjs'
import { type Settings, StartFault } from './settings.ts'

const HOUR_SECONDS = 3_600
const TOKEN_SECONDS = 24 * HOUR_SECONDS
/** Tokens in files are rewritten at half of their life. */
const REWRITE_MS = (TOKEN_SECONDS / 2) * 1000
const CRON_MS = 60_000
/** A start that takes longer than this says so and ends. */
const READY_SECONDS = 120
const READY_POLL_MS = 25
/** An answer that does not come is asked for again. */
const READY_ANSWER_MS = 10_000

export const DEMO_TENANT = 'demo'
const NODE_NAME = 'embedded'

export interface SystemOptions {
  /** Absolute folder that holds everything that survives. */
  state: string
  /** 0 or absent: a free one. */
  port?: number
  /** Absolute folders of task files; null or absent leaves them to the node's configuration, or to `tasks`. */
  tasks?: string[] | null
  /** The node's TOML file. */
  config?: string | null
  drainSeconds?: number
  hosts?: string
  /** JSON: weights of tenants. */
  tenantWeights?: string
  /** Start the embedded compute node (default true). */
  node?: boolean
  /** Build and serve the page (default true). */
  page?: boolean
  /** More bindings for the Worker. */
  bindings?: Record<string, string>
  /** More environment for nodes. */
  env?: Record<string, string>
  /** Puts R2 behind Miniflare's S3 door, and has nodes upload by signed requests to it. */
  s3?: { accessKeyId: string; secretAccessKey: string }
  /** Absolute path of another wrangler.toml. */
  toml?: string
  say?: (line: string) => void
}

export interface NodeOptions {
  name: string
  pool?: string
  tenants?: string[]
  tasks?: string[]
  queues?: string[]
  slots?: number
  /** Folders of task files, where they differ from the system's. */
  folders?: string[]
  config?: string | null
  env?: Record<string, string>
}

/** Everything on one machine: workerd with the edge, the development issuer, and Bun nodes. */
export interface System {
  origin: string
  /** Miniflare's own port: `/cdn-cgi/local/…`. */
  entry: string
  issuer: string
  state: string
  /** A person's token; `ttl` in seconds, without `scope` every right of a person. */
  token(tenant: string, options?: { scope?: string; ttl?: number }): Promise<string>
  nodeToken(options: { name: string; pool?: string; tenants?: string[]; tasks?: string[]; ttl?: number }): Promise<string>
  /** A new sign-in address of the page, good once and for a minute. */
  pageAddress(): string
  /** Starts one more supervised node. */
  startNode(options: NodeOptions): Promise<SupervisedChild>
  /** The embedded node's process, null while it is down. */
  nodePid(): number | null
  workerdPid(): number | null
  /** Kills without warning; the launcher starts it again. */
  kill9Workerd(): void
  kill9Node(): void
  cron(): Promise<void>
  /** Waits until `/readyz` says that a job could be taken. Throws `StartFault` after two minutes. */
  ready(): Promise<void>
  /** Drains and ends everything. */
  stop(): Promise<void>
  /** Ends everything at once. */
  kill(): void
}

export const systemOptions = (settings: Settings): SystemOptions => ({
  state: settings.state,
  port: settings.port,
  tasks: settings.tasks,
  config: settings.config,
  drainSeconds: settings.drainSeconds,
  hosts: settings.hosts,
  tenantWeights: settings.tenantWeights,
})

/** Starts a system on a state folder. Throws `StartFault` where a person can mend the cause. */
export const startSystem = async (options: SystemOptions): Promise<System> => {
  const say = options.say ?? (() => {})
  const drainSeconds = options.drainSeconds ?? 10
  const bun = process.env.SCARAB_BUN ?? findBun()
  if (!bun) throw new StartFault(`no Bun binary for ${process.platform} ${process.arch}: run npm ci again without --omit=optional`)
  const folder = openFolder(options.state)
  const logs = folder.file('logs')
  const children: SupervisedChild[] = []
  const timers: NodeJS.Timeout[] = []
  const closers: (() => Promise<void>)[] = []
  let stopping = false
  let isReady = false
  /** Faults of task files that were said: a node that starts again repeats them. */
  const toldFaults = new Set<string>()
  /** The embedded node cannot begin: then the start has failed, and waiting would not help. */
  const { promise: noNode, reject: nodeGaveUp } = Promise.withResolvers<never>()
  noNode.catch(() => {})

  try {
    if ((await endLeftovers(folder.path)) > 0) say('ended what a start before had left behind')
    const [keys, port] = await Promise.all([openKeys(folder.path), claimPort(options.port ?? 0)])
    const entryPort = options.s3 ? await claimPort(0) : 0
    const origin = `http://127.0.0.1:${port}`
    const origins = [origin, `http://localhost:${port}`, `http://[::1]:${port}`]
    const issuer = await startIssuer({ keys, origins: () => origins })
    closers.push(issuer.close)

    // ---- files that other programs read --------------------------------------------------------------------------
    const writeTokens = async (): Promise<void> => {
      writePrivate(folder.file('dev-token'), `${await keys.person(DEMO_TENANT, { ttl: TOKEN_SECONDS })}\n`)
      writePrivate(folder.file('node-token'), `${await nodeToken({ name: NODE_NAME })}\n`)
      for (const [path, one] of extraTokens) writePrivate(path, `${await nodeToken(one)}\n`)
    }
    const nodeToken: System['nodeToken'] = ({ name, pool = 'default', tenants = ['*'], tasks = ['*'], ttl = TOKEN_SECONDS }) =>
      keys.node({ name, pool, tenants, tasks }, { ttl })
    const extraTokens = new Map<string, NodeOptions>()
    // ---- compute nodes -------------------------------------------------------------------------------------------
    const launch = (name: string, tokenFile: string, one: Omit<NodeOptions, 'name'>): SupervisedChild => {
      const config = one.config === undefined ? options.config : one.config
      const args = [join(ROOT, 'compute/main.ts'), '--edge', origin, '--token-file', tokenFile, '--name', name]
      const folders = one.folders ?? options.tasks
      const tasks = folders ? { SCARAB_TASKS: folders.join(',') } : {}
      for (const queue of one.queues ?? []) args.push('--queue', queue)
      if (one.slots !== undefined) args.push('--slots', String(one.slots))
      if (config) args.push('--config', config)
      args.push('--spool', folder.file(`spool/${name}`), '--with-parent')
      const child = supervise({
        command: bun,
        args,
        env: {
          ...process.env,
          ...tasks,
          ...options.env,
          ...one.env,
          SCARAB_DRAIN_SECONDS: String(drainSeconds),
          [INSTANCE_VARIABLE]: folder.path,
        },
        log: join(logs, `node-${name}.log`),
        said: (line) => {
          const fault = taskFault(line)
          if (fault === null || toldFaults.has(fault)) return
          toldFaults.add(fault)
          say(fault)
        },
        // What served once is started again whatever it says: another process may have taken its place, and end.
        final: (code) => code === NODE_GIVES_UP && !(name === NODE_NAME && isReady),
        died: (why, pauseMs) => {
          if (pauseMs === Number.POSITIVE_INFINITY && name === NODE_NAME && !isReady) nodeGaveUp(why.replace(/^scarab node: /, ''))
          else if (pauseMs === Number.POSITIVE_INFINITY) say(`node ${name} gave up: ${why}`)
          else say(`node ${name} ended (${why}): starting it again in ${pauseMs / 1000} s`)
        },
      })
      children.push(child)
      return child
    }

    // The node starts beside workerd: it opens its engines while the edge comes up, and dials until it answers.
    await writeTokens()
    const embedded = options.node === false ? null : launch(NODE_NAME, folder.file('node-token'), {})

    // ---- the edge ------------------------------------------------------------------------------------------------
    const cache = cacheFolder(folder.path)
    const edge: EmbeddedEdge = await startEdge({
      settings: workerSettings(options.toml ?? join(ROOT, 'wrangler.toml'), cache),
      port,
      entryPort,
      persist: folder.file('v3'),
      logs,
      bundle: (main) => workerBundle(main, cache),
      page: options.page === false ? Promise.resolve(null) : pageFolder(cache, say),
      s3: options.s3,
      environment: { [INSTANCE_VARIABLE]: folder.path },
      bindings: {
        SCARAB_SECRET: keys.secret,
        SCARAB_ISSUERS: JSON.stringify([issuerConfig(keys, issuer)]),
        SCARAB_HOSTS: options.hosts ?? '',
        SCARAB_TENANT_WEIGHTS: options.tenantWeights ?? '',
        SCARAB_EMBEDDED: '1',
        ...(options.s3 ? s3Bindings(entryPort, options.s3) : {}),
        ...options.bindings,
      },
      restarted: () => {
        if (stopping) return
        say('workerd ended and was started again')
      },
    })
    closers.unshift(edge.close)
    writeNote(folder.path, { pid: process.pid, origin, issuer: issuer.address, control: issuer.control })

    const quietly = (work: () => Promise<void>) => (): void => void work().catch((fault: unknown) => say(String(fault)))
    timers.push(setInterval(quietly(edge.cron), CRON_MS), setInterval(quietly(writeTokens), REWRITE_MS))

    const end = (): void => {
      stopping = true
      for (const timer of timers) clearInterval(timer)
    }
    return {
      origin,
      entry: edge.entry,
      issuer: issuer.address,
      state: folder.path,
      token: (tenant, one = {}) => keys.person(tenant, one),
      nodeToken,
      pageAddress: () => `${origin}/#code=${issuer.mintCode()}`,
      startNode: async (one) => {
        const path = folder.file(`node-token-${one.name}`)
        extraTokens.set(path, one)
        writePrivate(path, `${await nodeToken(one)}\n`)
        mkdirSync(folder.file('spool'), { recursive: true })
        return launch(one.name, path, one)
      },
      nodePid: () => embedded?.pid() ?? null,
      workerdPid: () => processesOf(folder.path, 'workerd')[0] ?? null,
      kill9Workerd: () => {
        for (const pid of processesOf(folder.path, 'workerd')) killQuietly(pid)
      },
      kill9Node: () => {
        const pid = embedded?.pid()
        if (pid) killQuietly(pid)
      },
      cron: edge.cron,
      ready: async () => {
        const gaveUp = noNode.catch((why: unknown) => {
          throw new StartFault(String(why))
        })
        await Promise.race([untilReady(origin, () => stopping), gaveUp])
        isReady = true
      },
      stop: async () => {
        end()
        await Promise.all(children.map((child) => child.stop(drainSeconds)))
        for (const close of closers) await close()
        removeNote(folder.path)
        folder.close()
      },
      kill: () => {
        end()
        for (const child of children) child.kill()
        for (const pid of processesOf(folder.path, 'workerd')) killQuietly(pid)
      },
    }
  } catch (fault) {
    for (const timer of timers) clearInterval(timer)
    for (const child of children) child.kill()
    for (const close of closers) await close()
    folder.close()
    throw fault
  }
}

/** The bucket of wrangler.toml, as a client of Miniflare's S3 door sees it. */
const BUCKET = 'scarab-results'
const s3Bindings = (entryPort: number, s3: { accessKeyId: string; secretAccessKey: string }): Record<string, string> => ({
  S3_ENDPOINT: `http://127.0.0.1:${entryPort}/cdn-cgi/local/r2/s3`,
  S3_BUCKET: BUCKET,
  S3_ACCESS_KEY_ID: s3.accessKeyId,
  S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
})

/**
 * A task that is refused or has a misspelt line, in a node's log: `TIME /path/file.sql:3: error: …` (compute/tasks/problem.ts).
 * Other warnings, such as of a source that this node does not have, stay in the log.
 */
export const taskFault = (line: string): string | null =>
  /^\S+ (\/.+?: (?:error: .+|warning: .*; did you mean .+))$/.exec(line)?.[1] ?? null

/** `compute/main.ts` ends with this where starting again cannot help: a wrong flag or file, a refused token. */
const NODE_GIVES_UP = 78

const untilReady = async (origin: string, stopped: () => boolean): Promise<void> => {
  const deadline = Date.now() + READY_SECONDS * 1000
  let last = 'no answer'
  while (!stopped()) {
    try {
      const answer = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(READY_ANSWER_MS) })
      last = await answer.text()
      if (answer.ok) return
    } catch (fault) {
      last = String(fault)
    }
    if (Date.now() > deadline)
      throw new StartFault(`not ready after ${READY_SECONDS} s: ${last.slice(0, 500)} (logs lie in the state folder)`)
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
  }
}
