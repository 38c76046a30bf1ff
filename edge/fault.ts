import type { Env } from './env.ts'

/**
 * A named point at which the system may be stopped, to prove that nothing acknowledged is lost (I3). Where
 * `SCARAB_FAULT_URL` is set, which only the tests do, the point reports itself and whoever listens may kill the process
 * before it answers; elsewhere this is a comparison with undefined.
 */
export const fault = async (env: Env, name: string): Promise<void> => {
  if (env.SCARAB_FAULT_URL === undefined) return
  try {
    await fetch(`${env.SCARAB_FAULT_URL}/${name}`)
  } catch {
    // Nobody listens any more: the test is over.
  }
}
