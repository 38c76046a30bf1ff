import { DurableObject } from 'cloudflare:workers'
import type { Family } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { objectStore } from '../storage/object-store.ts'
import { CatalogCore, type PointerMove, type PointerMoved } from './catalog.ts'

/** One per tenant: the pointers of its families. Wires `CatalogCore` and nothing else. */
export class CatalogObject extends DurableObject<Env> {
  readonly #core: CatalogCore

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#core = new CatalogCore(objectStore(ctx.storage), Date.now)
  }

  async pointer(family: Family): Promise<string | null> {
    return this.#core.pointer(family)
  }

  async commit(move: PointerMove): Promise<PointerMoved> {
    return this.#core.commit(move)
  }

  async families(): Promise<Family[]> {
    return this.#core.families()
  }
}
