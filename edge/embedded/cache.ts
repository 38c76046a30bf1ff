import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { ROOT } from './runtimes.mjs'
import { StartFault } from './settings.ts'

/**
 * What the launcher builds (the Worker's bundle, the page) is kept by the hash of what it was built from, beside the
 * dependencies; where those are read-only, in the state folder.
 */
export const cacheFolder = (state: string): string => {
  const shared = join(ROOT, 'node_modules/.cache/scarab')
  try {
    mkdirSync(shared, { recursive: true })
    accessSync(shared, constants.W_OK)
    return shared
  } catch {
    const own = join(state, 'cache')
    mkdirSync(own, { recursive: true })
    return own
  }
}

const hashFiles = (files: string[], extra: string): string | null => {
  const hash = createHash('sha256').update(extra)
  for (const file of [...files].sort()) {
    try {
      hash.update(`\0${file}\0`).update(readFileSync(join(ROOT, file)))
    } catch {
      return null
    }
  }
  return hash.digest('hex').slice(0, 24)
}

/** Everything that is installed counts as one input: its lock file. */
const LOCK_FILE = 'package-lock.json'

const Inputs = z.object({ inputs: z.array(z.string()), hash: z.string(), file: z.string() })

/**
 * Bundles the Worker with esbuild, unless nothing it was built from has changed. Returns the bundle's text.
 * `main` is absolute. Throws esbuild's own error, which names file and line.
 */
export const workerBundle = async (main: string, cache: string): Promise<string> => {
  const entry = relative(ROOT, main)
  const note = join(cache, `worker-${createHash('sha256').update(main).digest('hex').slice(0, 8)}.json`)
  let older: string | null = null
  try {
    const kept = Inputs.parse(JSON.parse(readFileSync(note, 'utf8')))
    older = kept.file
    if (hashFiles(kept.inputs, entry) === kept.hash) return readFileSync(join(cache, kept.file), 'utf8')
  } catch {
    // Nothing kept yet, or damaged: build it.
  }
  const { build } = await import('esbuild')
  const built = await build({
    entryPoints: [main],
    absWorkingDir: ROOT,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    // Without a map: it would be two thirds of the text that workerd reads at every start, and names stay as they are.
    sourcemap: false,
    metafile: true,
    write: false,
    outfile: 'worker.mjs',
    logLevel: 'silent',
  }).catch((fault: unknown) => {
    throw new StartFault(`the Worker could not be bundled: ${fault instanceof Error ? fault.message : String(fault)}`)
  })
  const text = built.outputFiles[0]?.text ?? ''
  const inputs = Object.keys(built.metafile.inputs).filter((path) => !path.includes('node_modules/'))
  inputs.push(LOCK_FILE)
  const hash = hashFiles(inputs, entry)
  if (hash !== null) {
    const file = `worker-${hash}.mjs`
    putFile(join(cache, file), text)
    putFile(note, JSON.stringify({ inputs, hash, file }))
    if (older !== null && older !== file) rmSync(join(cache, older), { force: true })
  }
  return text
}

const WorkerSettings = z.object({
  /** Absolute path of the Worker's entry module. */
  main: z.string(),
  /** Miniflare's options for the Worker, but for its code. */
  options: z.record(z.string(), z.unknown()),
})
export type WorkerSettings = z.infer<typeof WorkerSettings>

/** What wrangler.toml says, in Miniflare's words. Kept, because loading wrangler takes longer than all the rest of a start. Throws `StartFault`. */
export const workerSettings = async (toml: string, cache: string): Promise<WorkerSettings> => {
  const hash = hashFiles([relative(ROOT, toml), LOCK_FILE], toml)
  const kept = join(cache, `settings-${hash}.json`)
  try {
    return WorkerSettings.parse(JSON.parse(readFileSync(kept, 'utf8')))
  } catch {
    // Not kept yet: ask wrangler.
  }
  const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await import('wrangler')
  const { workerOptions, main } = unstable_getMiniflareWorkerOptions(toml)
  if (!main) throw new StartFault(`${toml} names no main module`)
  const name = unstable_readConfig({ config: toml }).name
  const settings: WorkerSettings = { main, options: { ...workerOptions, ...(name ? { name } : {}) } }
  putFile(kept, JSON.stringify(settings))
  return settings
}

/** Builds the page (`web/build.mjs`), unless it stands already. Returns its folder. */
export const pageFolder = async (cache: string, say: (line: string) => void): Promise<string> => {
  const sources = ['web', 'edge/contract'].flatMap((folder) => filesUnder(folder))
  const hash = hashFiles([...sources, LOCK_FILE], 'page')
  const target = join(cache, `page-${hash}`)
  if (hash !== null && existsSync(join(target, 'index.html'))) return keepPage(cache, target)
  say('building the page …')
  const draft = join(cache, `draft-${randomBytes(6).toString('hex')}`)
  const older = readdirSync(cache).filter((name) => name.startsWith('page-'))
  try {
    await buildWebPage({ outdir: draft, cacheDir: cache })
  } catch (fault) {
    rmSync(draft, { recursive: true, force: true })
    const [last] = older
    const why = `the page could not be built: ${fault instanceof Error ? fault.message : String(fault)}`
    if (last === undefined) throw new StartFault(why)
    // Somebody is at work on the page: the rest need not wait for it.
    say(`${why}\nscarab: serving the page that was built before`)
    return join(cache, last)
  }
  try {
    renameSync(draft, target)
  } catch (fault) {
    // Another start finished the same build first.
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(join(target, 'index.html'))) throw fault
  }
  return keepPage(cache, target)
}

/** A page that no start has used for so long goes. Sooner, it would go from under an instance that serves it. */
const PAGE_KEPT_MS = 24 * 3600 * 1000

/** Marks a page as used now, and removes what was used long ago: other pages, and drafts whose build was killed. */
export const keepPage = (cache: string, page: string, now = Date.now()): string => {
  utimesSync(page, now / 1000, now / 1000)
  for (const name of readdirSync(cache)) {
    if (!/^(page|draft)-/.test(name)) continue
    const path = join(cache, name)
    const used = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now
    if (now - used > PAGE_KEPT_MS) rmSync(path, { recursive: true, force: true })
  }
  return page
}

const BuiltPage = z.object({ files: z.array(z.object({ name: z.string(), bytes: z.int() })) })

/** `web/build.mjs`, with the quality for a first start; a deploy compresses harder. */
export const buildWebPage = async (options: { outdir: string; cacheDir?: string }): Promise<z.infer<typeof BuiltPage>> => {
  const { buildPage } = await import(pathToFileURL(join(ROOT, 'web/build.mjs')).href)
  return BuiltPage.parse(await buildPage({ ...options, brotliQuality: 5 }))
}

const filesUnder = (folder: string): string[] => {
  const found: string[] = []
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory() && entry.name !== 'dist' && entry.name !== 'node_modules') found.push(...filesUnder(path))
    else if (entry.isFile() && !entry.name.includes('.test.') && !entry.name.endsWith('.md')) found.push(path)
  }
  return found
}

/** Two starts may write the same file at once: each writes aside and renames. */
const putFile = (path: string, text: string): void => {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  writeFileSync(draft, text)
  renameSync(draft, path)
}
