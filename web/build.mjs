/**
 * Builds the page into a folder of static files that any server can serve for ever:
 *
 *   index.html                              the only file whose name has no hash
 *   assets/<name>-<hash>.js|css             bundled by esbuild
 *   assets/<name>-<hash>.wasm.br            served as `….wasm` with `content-encoding: br`
 *   assets/manifest.json                    what stands for what, and the sizes
 *
 * The engine's wasm has 34 MB and Cloudflare's static assets take at most 25 MiB a file, so wasm is shipped compressed
 * only. Brotli 11 takes minutes: quality 5 is for the first start, 11 for a deploy; both are cached by content hash.
 *
 *   node web/build.mjs [--outdir web/dist] [--quality 5] [--cache DIR]
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { build } from 'esbuild'

const HERE = dirname(fileURLToPath(import.meta.url))
const require = createRequire(import.meta.url)

/** Cloudflare Workers static assets, limits page: 25 MiB a file. */
export const MAX_ASSET_BYTES = 25 * 1024 * 1024

const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 12)

/**
 * @param {string} file @param {string} cacheDir @param {number} quality
 * @returns {Promise<{bytes: Buffer, hash: string, raw: number}>} the compressed bytes, made once for each content and quality
 */
const compressed = async (file, cacheDir, quality) => {
  const raw = await readFile(file)
  const hash = hashOf(raw)
  const kept = join(cacheDir, `${basename(file)}-${hash}-q${quality}.br`)
  if (existsSync(kept)) return { bytes: await readFile(kept), hash, raw: raw.length }
  const bytes = await promisify(brotliCompress)(raw, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length,
    },
  })
  await mkdir(cacheDir, { recursive: true })
  // Written aside and renamed, so that a build that is killed leaves no half file under the right name.
  const aside = `${kept}.${process.pid}`
  await writeFile(aside, bytes)
  await rename(aside, kept)
  return { bytes, hash, raw: raw.length }
}

/**
 * @param {{outdir: string, cacheDir?: string, brotliQuality?: number, minify?: boolean}} options
 * @returns {Promise<{outdir: string, files: {name: string, bytes: number}[], assets: {duckdbWorker: string, duckdbWasm: string, parquetWasm: string}, modules: string[]}>} modules: source files that are in the bundles
 */
export const buildPage = async ({
  outdir,
  cacheDir = join(HERE, '../node_modules/.cache/scarab-page'),
  brotliQuality = 5,
  minify = true,
}) => {
  const out = resolve(outdir)
  const assetsDir = join(out, 'assets')
  await rm(out, { recursive: true, force: true })
  await mkdir(assetsDir, { recursive: true })

  const duckdb = dirname(require.resolve('@duckdb/duckdb-wasm/dist/duckdb-eh.wasm'))
  const engineWasm = await compressed(join(duckdb, 'duckdb-eh.wasm'), cacheDir, brotliQuality)
  const parquetWasm = await compressed(require.resolve('parquet-wasm/esm/parquet_wasm_bg.wasm'), cacheDir, brotliQuality)
  await writeFile(join(assetsDir, `duckdb-eh-${engineWasm.hash}.wasm.br`), engineWasm.bytes)
  await writeFile(join(assetsDir, `parquet-${parquetWasm.hash}.wasm.br`), parquetWasm.bytes)

  // The source map's address is dropped: the map is not shipped, and asking for it would be a request that fails.
  const workerText = (await readFile(join(duckdb, 'duckdb-browser-eh.worker.js'), 'utf8')).replace(
    /\n?\/\/# sourceMappingURL=\S+\s*$/,
    '\n',
  )
  const workerName = `duckdb-eh-worker-${hashOf(workerText)}.js`
  await writeFile(join(assetsDir, workerName), workerText)

  const assets = {
    duckdbWorker: `/assets/${workerName}`,
    duckdbWasm: `/assets/duckdb-eh-${engineWasm.hash}.wasm`,
    parquetWasm: `/assets/parquet-${parquetWasm.hash}.wasm`,
  }
  const result = await build({
    entryPoints: { page: join(HERE, 'page/main.tsx') },
    outdir: assetsDir,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['es2022'],
    platform: 'browser',
    minify,
    sourcemap: false,
    write: false,
    metafile: true,
    legalComments: 'none',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    define: { SCARAB_ASSETS: JSON.stringify(assets), 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
  })
  // One form of name for all that never changes: `<name>-<hash in hexadecimal>.<ending>`. esbuild's own hashes are base32.
  const renamed = new Map()
  for (const { path } of result.outputFiles) {
    const [, stem, hash, ending] = /^(.*)-([A-Z2-7]{8})\.(js|css)$/.exec(basename(path)) ?? []
    if (hash === undefined) throw new Error(`esbuild made ${basename(path)}, which has no hash in its name`)
    renamed.set(basename(path), `${stem}-${hashOf(hash)}.${ending}`)
  }
  const nameOf = (path) => renamed.get(basename(path)) ?? basename(path)
  for (const { path, text } of result.outputFiles) {
    let renamedText = text
    for (const [from, to] of renamed) renamedText = renamedText.replaceAll(from, to)
    await writeFile(join(assetsDir, nameOf(path)), renamedText)
  }
  const outputs = Object.entries(result.metafile.outputs)
  const entry = outputs.find(([, output]) => output.entryPoint?.endsWith('page/main.tsx'))
  if (entry === undefined) throw new Error('esbuild made no page bundle')
  const [script, { cssBundle, imports }] = entry
  const preload = imports.filter((one) => one.kind === 'import-statement').map((one) => nameOf(one.path))

  const template = await readFile(join(HERE, 'page/index.html'), 'utf8')
  const icon = await readFile(join(HERE, 'page/icon.svg'))
  const iconName = `icon-${hashOf(icon)}.svg`
  await writeFile(join(assetsDir, iconName), icon)
  const html = template
    .replace('<!-- icon -->', `<link rel="icon" type="image/svg+xml" href="/assets/${iconName}">`)
    .replace('<!-- style -->', cssBundle === undefined ? '' : `<link rel="stylesheet" href="/assets/${nameOf(cssBundle)}">`)
    .replace('<!-- preload -->', preload.map((name) => `<link rel="modulepreload" href="/assets/${name}">`).join('\n    '))
    .replace('<!-- script -->', `<script type="module" src="/assets/${nameOf(script)}"></script>`)
  await writeFile(join(out, 'index.html'), html)
  await writeFile(join(assetsDir, 'manifest.json'), `${JSON.stringify({ assets, quality: brotliQuality }, null, 2)}\n`)

  const files = []
  for (const name of await readdir(out, { recursive: true })) {
    const info = await stat(join(out, name))
    if (!info.isFile()) continue
    if (info.size > MAX_ASSET_BYTES) throw new Error(`${name} has ${info.size} bytes; static assets take at most ${MAX_ASSET_BYTES}`)
    files.push({ name, bytes: info.size })
  }
  const modules = [...new Set(outputs.flatMap(([, { inputs }]) => Object.keys(inputs)))]
  return { outdir: out, files: files.sort((a, b) => b.bytes - a.bytes), assets, modules }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`)
    return at < 0 ? fallback : process.argv[at + 1]
  }
  const started = Date.now()
  const cache = option('cache', undefined)
  const built = await buildPage({
    outdir: option('outdir', join(HERE, 'dist')),
    brotliQuality: Number(option('quality', '5')),
    ...(cache === undefined ? {} : { cacheDir: cache }),
  })
  for (const { name, bytes } of built.files) console.log(`${String(bytes).padStart(10)}  ${name}`)
  console.log(`built in ${((Date.now() - started) / 1000).toFixed(1)} s → ${built.outdir}`)
}
