import { readdirSync, readFileSync } from 'node:fs'

/**
 * Processes as Linux shows them under /proc. Elsewhere none are found, and what this serves (ending what a kill -9 of
 * the launcher left behind) is then done by hand.
 */

/** Every child of a launcher carries its state folder in this variable, so it can be told from all other processes. */
export const INSTANCE_VARIABLE = 'SCARAB_INSTANCE'

/** Processes of this user that belong to the state folder; with `name`, those of that program. */
export const processesOf = (state: string, name?: string): number[] => {
  const mark = `${INSTANCE_VARIABLE}=${state}`
  return processIds().filter((pid) => {
    try {
      if (pid === process.pid || (name !== undefined && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== name)) return false
      // A zombie has no environment any more, so it does not count.
      return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark)
    } catch {
      return false
    }
  })
}

const processIds = (): number[] => {
  try {
    return readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number)
  } catch {
    return []
  }
}

/** How long the kernel may take to bury a killed process before we go on. */
const BURIAL_MS = 30_000
const LOOK_MS = 10

/** Kills what a launcher that was killed left running on the folder, and waits until it is gone. Only for the folder's lock holder. */
export const endLeftovers = async (state: string): Promise<number> => {
  const left = processesOf(state)
  for (const pid of left) killQuietly(pid)
  const deadline = Date.now() + BURIAL_MS
  while (!left.every(isOver) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  return left.length
}

/** Gone, or a zombie without threads: a dying process loses its environment before it gives up its ports. */
const isOver = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2)) && readdirSync(`/proc/${pid}/task`).length <= 1
  } catch {
    return true
  }
}

export const killQuietly = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}
