import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import chromium from '@sparticuz/chromium'
import { type Browser, chromium as playwright } from 'playwright-core'
import { buildPage } from '../../web/build.mjs'
import { PATIENCE_MS } from '../support/patience.ts'

const PACKAGE = dirname(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')))
const KEPT = join(import.meta.dirname, '../../node_modules/.cache')

/**
 * Unpacks Chromium with the libraries and fonts that come with it, once, beside the other caches. The package would unpack into
 * the shared temporary folder, and take a file that another process is still writing for a whole one; and it leaves the libraries
 * out unless it believes to run where they are needed.
 */
const unpacked = async (): Promise<string> => {
  const { version }: { version: string } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'))
  const target = join(KEPT, `chromium-${version}`)
  if (existsSync(target)) return target
  mkdirSync(KEPT, { recursive: true })
  const draft = await mkdtemp(join(KEPT, 'chromium-draft-'))
  const before = { TMPDIR: process.env.TMPDIR, AWS_EXECUTION_ENV: process.env.AWS_EXECUTION_ENV }
  // Read when the call begins, not when it ends.
  Object.assign(process.env, { TMPDIR: draft, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' })
  const unpacking = chromium.executablePath()
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  await unpacking
  // The fonts of the machine, where there are any, and those that came along.
  await writeFile(
    join(draft, 'fonts.conf'),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
      <include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>${join(target, 'fonts')}</dir><cachedir>${join(target, 'font-cache')}</cachedir>
    </fontconfig>`,
  )
  try {
    await rename(draft, target)
  } catch (fault) {
    // Another process was first.
    await rm(draft, { recursive: true, force: true })
    if (!existsSync(target)) throw fault
  }
  return target
}

/** A Chromium from npm that needs nothing of the machine but its C library. */
export const launchBrowser = async (): Promise<Browser> => {
  const folder = await unpacked()
  return playwright.launch({
    executablePath: join(folder, 'chromium'),
    headless: true,
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, 'al2023/lib'), FONTCONFIG_FILE: join(folder, 'fonts.conf') },
    // The package's own switches turn the web's safety off and keep everything in one process: not those.
    timeout: PATIENCE_MS,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb'],
  })
}

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
