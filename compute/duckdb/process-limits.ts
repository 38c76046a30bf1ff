import { dlopen, ptr } from 'bun:ffi'
import { readFileSync } from 'node:fs'

/** Linux numbers: prctl(2) PR_SET_PDEATHSIG, signal(7) SIGKILL, getrlimit(2) RLIMIT_DATA and RLIMIT_CORE. */
const PR_SET_PDEATHSIG = 1
const SIGKILL = 9n
const RLIMIT_DATA = 2
const RLIMIT_CORE = 4

/** Private writable memory that is mapped already: the JavaScript engine reserves some gigabytes and touches few. Linux; elsewhere 0. */
export const mappedBytes = (): number => {
  if (process.platform !== 'linux') return 0
  const kilobytes = /^VmData:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/**
 * Binds this process to its parent's life and to a size. Linux only; elsewhere the closed IPC channel alone ends a
 * child, and only DuckDB's own memory limit holds.
 *
 * RLIMIT_DATA counts private writable memory (Linux 4.7 and later), so it also stops string heaps that DuckDB's
 * `memory_limit` does not see. `moreBytes` is what may come on top of what is mapped now.
 */
export const limitProcess = (parent: number, moreBytes: number): void => {
  if (process.platform !== 'linux') return
  const libc = dlopen('libc.so.6', {
    prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
    setrlimit: { args: ['i32', 'ptr'], returns: 'i32' },
  })
  libc.symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0n, 0n, 0n)
  // The parent may have died before the line above: then nobody will send the signal.
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
  const limit = (resource: number, bytes: number): void => {
    const pair = new BigUint64Array([BigInt(bytes), BigInt(bytes)])
    libc.symbols.setrlimit(resource, ptr(pair))
  }
  limit(RLIMIT_CORE, 0)
  limit(RLIMIT_DATA, mappedBytes() + moreBytes)
}
