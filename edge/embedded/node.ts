import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { findBun, ROOT } from './runtimes.mjs'
import { explain, StartFault } from './settings.ts'

/** `npm run node -- --edge URL --token-file F [--queue Q]… [--name N] [--slots N | --concurrency N]`: one more compute node, also on another host. */
try {
  const bun = process.env.SCARAB_BUN ?? findBun()
  if (!bun) throw new StartFault(`no Bun binary for ${process.platform} ${process.arch}: run npm ci again without --omit=optional`)
  const child = spawn(bun, [join(ROOT, 'compute/main.ts'), ...process.argv.slice(2), '--with-parent'], {
    // Its standard input is ours to hold: when we are killed, it ends too.
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
  })
  child.once('error', (fault) => {
    explain(new StartFault(`${bun} could not be started: ${fault.message}`))
    process.exit(1)
  })
  child.once('exit', (code) => process.exit(code ?? 1))
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGINT', () => child.kill('SIGINT'))
  process.on('disconnect', () => child.kill('SIGTERM'))
} catch (fault) {
  explain(fault)
  process.exitCode = 1
}
