import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import chromium from '@sparticuz/chromium'
import { type Browser, chromium as playwright } from 'playwright-core'
import { buildPage } from '../../web/build.mjs'

/** A Chromium from npm, with the libraries it needs packed beside it, so that a bare machine suffices. */
export const launchBrowser = async (): Promise<Browser> =>
  playwright.launch({
    executablePath: await chromium.executablePath(),
    headless: true,
    // Their defaults for small machines, without the switches that turn the web's safety off or keep workers in one process.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb'],
  })

export interface BuiltPage {
  outdir: string
  files: { name: string; bytes: number }[]
  assets: { duckdbWorker: string; duckdbWasm: string; parquetWasm: string }
  remove(): Promise<void>
}

/** The page as it is shipped, in a folder of its own; the compressed wasm comes from the build's cache. */
export const buildForTest = async (): Promise<BuiltPage> => {
  const outdir = await mkdtemp(join(tmpdir(), 'scarab-page-'))
  const built = await buildPage({ outdir, brotliQuality: 5 })
  if (!existsSync(join(outdir, 'index.html'))) throw new Error('the build left no index.html')
  return { ...built, remove: () => rm(outdir, { recursive: true, force: true }) }
}
