import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { buildWebPage } from './cache.ts'
import { ROOT } from './runtimes.mjs'
import { explain, StartFault } from './settings.ts'

/** `npm run deploy:check`: builds the page where wrangler.toml expects it, looks at every asset's size, and lets wrangler try a deployment without an account. */

/** Cloudflare Workers, static assets: 25 MiB a file. */
const MAX_ASSET_BYTES = 25 * 1024 * 1024

try {
  const { files } = await buildWebPage({ outdir: join(ROOT, 'web/dist') })
  const large = files.filter(({ bytes }) => bytes > MAX_ASSET_BYTES)
  const [worst] = [...files].sort((a, b) => b.bytes - a.bytes)
  if (large.length > 0)
    throw new StartFault(`larger than 25 MiB, which static assets cannot be: ${large.map(({ name }) => name).join(', ')}`)
  process.stdout.write(`${files.length} assets, the largest ${worst?.name} with ${((worst?.bytes ?? 0) / 1024 / 1024).toFixed(1)} MiB\n`)
  const run = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/wrangler/bin/wrangler.js'),
      'deploy',
      '--dry-run',
      '--outdir',
      join(ROOT, 'node_modules/.cache/scarab/deploy'),
    ],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, CI: '1' } },
  )
  process.exitCode = run.status ?? 1
} catch (fault) {
  explain(fault)
  process.exitCode = 1
}
