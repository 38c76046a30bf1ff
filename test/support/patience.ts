/**
 * How long a test waits for what must come sooner or later. It says nothing about speed: it only turns a wait that would never
 * end into a failure with its reason, before the time of the whole test is over (`testTimeout` in vitest.config.ts).
 */
export const PATIENCE_MS = 240_000
const LOOK_EVERY_MS = 20

/** Looks again and again until `look` does not throw; its last fault is the failure. For what no event tells of. */
export const eventually = async <Seen>(look: () => Seen | Promise<Seen>): Promise<Seen> => {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      return await look()
    } catch (fault) {
      if (Date.now() > until) throw fault
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}
