import { createServer } from 'node:net'
import { join } from 'node:path'
import type { V4WorkerOptions } from 'miniflare'
import type { WorkerSettings } from './cache.ts'
import { openLog } from './folder.ts'
import { ROOT } from './runtimes.mjs'
import { StartFault } from './settings.ts'

/** The edge under workerd on this machine. */
export interface EmbeddedEdge {
  /** The Worker on its direct socket: `http://127.0.0.1:PORT`. */
  origin: string
  /** Miniflare's own port, with `/cdn-cgi/local/…`: cron, and R2 as S3. */
  entry: string
  /** Fires the cron triggers of wrangler.toml now. */
  cron(): Promise<void>
  close(): Promise<void>
}

export interface EdgeOptions {
  /** What wrangler.toml says. */
  settings: Promise<WorkerSettings>
  port: number
  /** Miniflare's own port; 0 for any. */
  entryPort: number
  /** Where Durable Objects and R2 lie. */
  persist: string
  logs: string
  bundle(main: string): Promise<string>
  /** The page's folder; null serves none. */
  page: Promise<string | null>
  bindings: Record<string, string>
  /** Environment of the workerd process. */
  environment: Record<string, string>
  /** Gives R2 an S3 door on the entry port, for tests of signed uploads. */
  s3?: Credentials | undefined
  /** Called when workerd died and Miniflare started it again. */
  restarted(): void
}

/** Throws `StartFault` when the port is taken. Port 0 is answered with a free one. */
export const claimPort = (port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (fault: NodeJS.ErrnoException) => {
      const why = fault.code === 'EADDRINUSE' ? 'is in use' : `cannot be opened (${fault.code})`
      reject(new StartFault(`port ${port} ${why}: stop what uses it, or choose another by SCARAB_PORT`))
    })
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : port))
    })
  })

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Miniflare ends the process at once on a signal, which would cut our drain short: its listeners go, those of others stay. */
const rememberSignals = (): (() => void) => {
  const before = SIGNALS.map((signal) => new Set(process.listeners(signal)))
  return () => {
    for (const [index, signal] of SIGNALS.entries())
      for (const listener of process.listeners(signal)) if (!before[index]?.has(listener)) process.off(signal, listener)
  }
}

/** Between our look at the port and workerd's somebody else may have taken it. */
const cannotServe = (fault: unknown, port: number): never => {
  const words = fault instanceof Error ? fault.message : String(fault)
  throw new StartFault(/address already in use/i.test(words) ? `port ${port} is in use: start again` : `workerd cannot serve: ${words}`)
}

type Buckets = V4WorkerOptions['r2Buckets']
type Credentials = { accessKeyId: string; secretAccessKey: string }

/** Every bucket behind Miniflare's S3 door too. */
const withS3 = (buckets: Buckets, s3Credentials: Credentials): NonNullable<Buckets> => {
  const named = Array.isArray(buckets) ? Object.fromEntries(buckets.map((name) => [name, name])) : (buckets ?? {})
  return Object.fromEntries(
    Object.entries(named).map(([name, bucket]) => [name, { ...(typeof bucket === 'string' ? { id: bucket } : bucket), s3Credentials }]),
  )
}

/** The service that serves the page's files; the Worker reaches it by its ASSETS binding. */
const ASSETS_WORKER = 'scarab-assets'
const ASSETS_SCRIPT = 'export default { fetch: (request, env) => env.FILES.fetch(request) }'

/**
 * Starts Miniflare with the settings of wrangler.toml.  The Worker listens on a direct socket: Miniflare's entry worker
 * costs it 40 % of its jobs a second. Assets live in a worker of their own for the same reason: their router would
 * otherwise stand before every request.
 */
export const startEdge = async (options: EdgeOptions): Promise<EmbeddedEdge> => {
  const keepSignals = rememberSignals()
  const [{ Miniflare, convertV4MiniflareOptions, Log, LogLevel }, described, page] = await Promise.all([
    import('miniflare'),
    options.settings,
    options.page,
  ])
  const script = await options.bundle(described.main)

  const log = openLog(join(options.logs, 'edge.log'))
  const whole: V4WorkerOptions = { ...described.options, modules: [{ type: 'ESModule', path: 'worker.mjs', contents: script }] }
  const { assets, ...settings } = whole
  const edgeWorker: V4WorkerOptions = {
    ...settings,
    ...(options.s3 ? { r2Buckets: withS3(settings.r2Buckets, options.s3) } : {}),
    bindings: { ...settings.bindings, ...options.bindings },
    serviceBindings: { ...settings.serviceBindings, ...(page ? { ASSETS: ASSETS_WORKER } : {}) },
    unsafeDirectSockets: [{ host: '127.0.0.1', port: options.port }],
  }
  const assetsWorker: V4WorkerOptions = {
    name: ASSETS_WORKER,
    modules: [{ type: 'ESModule', path: 'assets.mjs', contents: ASSETS_SCRIPT }],
    ...(settings.compatibilityDate ? { compatibilityDate: settings.compatibilityDate } : {}),
    assets: { ...assets, directory: page ?? ROOT, binding: 'FILES' },
  }
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: options.entryPort,
      cf: false,
      logRequests: false,
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: ({ level, message }) => log.write(`${new Date().toISOString()} ${level} ${message}\n`),
      unsafeHandleRuntimeRestart: options.restarted,
      resourcePersistencePath: options.persist,
      unsafeRuntimeEnv: options.environment,
      unsafeTriggerHandlers: true,
      unsafeLocalExplorer: false,
      unsafeObservability: false,
      telemetry: { enabled: false },
      workers: [edgeWorker, ...(page ? [assetsWorker] : [])],
    }),
  )
  const entry = (await miniflare.ready.catch((fault: unknown) => cannotServe(fault, options.port))).origin
  keepSignals()
  return {
    origin: `http://127.0.0.1:${options.port}`,
    entry,
    cron: async () => {
      const answer = await fetch(`${entry}/cdn-cgi/local/scheduled?cron=${encodeURIComponent('* * * * *')}`)
      await answer.arrayBuffer()
    },
    close: async () => {
      await miniflare.dispose()
      await new Promise<void>((resolve) => log.end(resolve))
    },
  }
}
