/**
 * What stands in for the platform and for what costs much and decides nothing. A test file mocks the modules by these;
 * everything else of the edge is the real thing.
 */

/** `cloudflare:workers`. */
export class DurableObject {
  readonly ctx: unknown
  readonly env: unknown
  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx
    this.env = env
  }
}

/** edge/fault.ts: the world decides who is stopped where. */
export const fault = (env: { fault(name: string): Promise<void> }, name: string): Promise<void> => env.fault(name)

/** edge/iceberg/footer.ts: the files of the simulation hold no Parquet. */
export const checkFooter = (): Promise<{ ok: true }> => Promise.resolve({ ok: true })

/** edge/identity/grants.ts: signing leaves the thread, and nobody forges here. */
export const signGrant = (_secret: string, grant: object): Promise<string> => Promise.resolve(JSON.stringify(grant))
