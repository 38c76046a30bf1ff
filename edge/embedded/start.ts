import { runDemo } from './demo.ts'
import { explain, leaveMilliseconds, readSettings } from './settings.ts'
import { type System, startSystem, systemOptions } from './system.ts'

/** `npm start`: everything on this machine, until Ctrl-C or SIGTERM. */

/** A terminal's Ctrl-C can arrive twice by way of npm; a person is slower than this. */
const SAME_SIGNAL_MS = 500

const say = (line: string): void => void process.stdout.write(`${line}\n`)
let system: System | null = null
let starting: Promise<System> | null = null
let leavingSince = 0

const leave = async (drainSeconds: number): Promise<never> => {
  const overdue = setTimeout(() => {
    system?.kill()
    process.exit(1)
  }, leaveMilliseconds(drainSeconds))
  overdue.unref()
  try {
    // A start under way is finished first, so that nothing it starts is left behind.
    const running = system ?? (await starting)
    await running?.stop()
  } catch {
    // The start failed and has said so itself.
  }
  process.exit(0)
}

try {
  const settings = readSettings(process.env)
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (leavingSince > 0) {
      if (signal === 'SIGTERM' || Date.now() - leavingSince < SAME_SIGNAL_MS) return
      system?.kill()
      process.exit(130)
    }
    leavingSince = Date.now()
    say(`draining: running jobs get ${settings.drainSeconds} s (Ctrl-C again ends at once)`)
    void leave(settings.drainSeconds)
  }
  process.on('SIGINT', () => onSignal('SIGINT'))
  process.on('SIGTERM', () => onSignal('SIGTERM'))
  // The terminal is gone: what we still say must not end us.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  // bootstrap.mjs, which passes signals on, was killed.
  process.on('disconnect', () => onSignal('SIGTERM'))

  const began = performance.now()
  starting = startSystem({ ...systemOptions(settings), say: (line) => say(`scarab: ${line}`) })
  system = await starting
  await system.ready()
  if (leavingSince === 0) {
    say(`ready ${system.origin}`)
    say(`  started in ${((performance.now() - began) / 1000).toFixed(1)} s, state in ${settings.state}`)
    if (settings.demo) await runDemo(system, { say, stopped: () => leavingSince > 0 })
  }
} catch (fault) {
  if (leavingSince === 0) {
    explain(fault)
    await system?.stop().catch(() => {})
    process.exit(1)
  }
}
