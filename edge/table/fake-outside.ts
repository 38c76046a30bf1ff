import { CatalogCore } from '../catalog/catalog.ts'
import type { Family, JobId, TenantId } from '../contract/ids.ts'
import type { Store } from '../storage/store.ts'
import type { Outcome } from './outcomes.ts'
import type { TableOutside } from './perform.ts'

/** Object storage, catalog, ledger and directory in memory, for tests and the simulation. Every call can be made to fail. */
export interface FakeOutside extends TableOutside {
  /** Every object by key. */
  bytes: Map<string, Uint8Array>
  pointers: CatalogCore
  /** What the ledger was told, in order. */
  told: Outcome[]
  tables: string[]
  logs: string[]
  /** Called before each request with its name; a throw makes it fail without having worked. */
  before: (request: string) => void | Promise<void>
  /** Called after each request has worked; a throw loses the answer. */
  after: (request: string) => void | Promise<void>
}

/** `store`: an empty database for the catalog. */
export const fakeOutside = (clock: () => number, store: Store): FakeOutside => {
  const outside: FakeOutside = {
    bytes: new Map(),
    pointers: new CatalogCore(store, clock),
    told: [],
    tables: [],
    logs: [],
    before: () => {},
    after: () => {},
    objects: {
      get: (key) => around(`get ${key}`, () => outside.bytes.get(key) ?? null),
      put: (key, bytes) => around(`put ${key}`, () => void outside.bytes.set(key, bytes)),
      delete: (keys) =>
        around(`delete ${keys.join(' ')}`, () => {
          for (const key of keys) outside.bytes.delete(key)
        }),
      list: (prefix) => around(`list ${prefix}`, () => [...outside.bytes.keys()].filter((key) => key.startsWith(prefix))),
    },
    catalog: {
      pointer: (family: Family) => around('pointer', () => outside.pointers.pointer(family)),
      commit: (move) => around('commit', () => outside.pointers.commit(move)),
    },
    tellLedger: (_tenant: TenantId, items) =>
      around('tell', () => {
        outside.told.push(...items)
        return { acknowledged: items.map((item): JobId => item.job) }
      }),
    tellDirectory: (table) => around('remember', () => void outside.tables.push(table)),
    log: (text) => outside.logs.push(text),
  }
  const around = async <T>(request: string, work: () => T): Promise<T> => {
    await outside.before(request)
    const answer = work()
    await outside.after(request)
    return answer
  }
  return outside
}
