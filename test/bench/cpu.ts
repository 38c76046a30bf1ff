import { readFileSync } from 'node:fs'

/** Linux counts CPU time in ticks of 10 ms (`getconf CLK_TCK`). */
const TICK_MS = 10

/** CPU that a process has used so far, in milliseconds; 0 where the system does not tell. */
export const cpuMs = (pid: number | null): number => {
  if (pid === null) return 0
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold blanks; utime and stime are fields 14 and 15 (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return 0
  }
}
