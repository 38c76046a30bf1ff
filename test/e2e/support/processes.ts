import { readdirSync, readFileSync } from 'node:fs'

interface Process {
  pid: number
  parent: number
  command: string
}

/** Fields after the name in `/proc/PID/stat`: state, parent, … (proc(5)). A name may hold blanks and brackets. */
const statOf = (path: string): string[] => {
  const text = readFileSync(path, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

const processes = (): Process[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry): Process[] => {
      try {
        const [state, parent] = statOf(`/proc/${entry}/stat`)
        if (state === 'Z') return []
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return [{ pid: Number(entry), parent: Number(parent), command }]
      } catch {
        // Ended meanwhile.
        return []
      }
    })

/** Processes below one, at any depth, whose command line holds a text. */
export const descendants = (root: number, command: string): number[] => {
  const all = processes()
  const below = new Set([root])
  for (let grown = true; grown; ) {
    grown = false
    for (const { pid, parent } of all) {
      if (!below.has(parent) || below.has(pid)) continue
      below.add(pid)
      grown = true
    }
  }
  below.delete(root)
  return all.filter((one) => below.has(one.pid) && one.command.includes(command)).map(({ pid }) => pid)
}

/** Command line of DuckDB's child processes. */
export const DUCKDB_CHILD = 'compute/duckdb/child'

export const isAlive = (pid: number): boolean => {
  try {
    return statOf(`/proc/${pid}/stat`)[0] !== 'Z'
  } catch {
    return false
  }
}

/** How many threads of a process want a processor now; 0 when it is gone. */
export const busyThreads = (pid: number): number => {
  try {
    return readdirSync(`/proc/${pid}/task`).filter((thread) => {
      try {
        return statOf(`/proc/${pid}/task/${thread}/stat`)[0] === 'R'
      } catch {
        return false
      }
    }).length
  } catch {
    return 0
  }
}
