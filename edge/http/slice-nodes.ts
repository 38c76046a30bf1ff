import { stub } from '../addressing.ts'
import { type NodeId, PoolName, type SliceHash, type TenantId } from '../contract/ids.ts'
import { derivedKey, packKey, sliceKey } from '../contract/keys.ts'
import { GRANT_SECONDS, type SliceMessage } from '../contract/node.ts'
import { Problem } from '../contract/problems.ts'
import { MAX_LINK_SLICE_BYTES, type NormalSlice, type SliceFile } from '../contract/slices.ts'
import { type Grant, signGrant } from '../identity/grants.ts'
import { GRANT_HEADER, NODE_OBJECTS_PATH } from '../link/objects.ts'
import { inOrderFor } from '../slices/rendezvous.ts'
import { type AppContext, personOf } from './context.ts'
import type { LoadedResult } from './result-source.ts'
import { NODE_UPLOADS_PATH } from './uploads.ts'

/** A slice may take this long on a node. */
const SLICE_SECONDS = 30
/** Making CSV or JSON of a whole result may take this long. */
const DERIVE_SECONDS = 600
/** The pool that is asked first: that of the embedded node. */
const USUAL_POOL = PoolName.parse('default')
/** A read link is given out again for so long, and is good for ten minutes more. */
const LINK_REUSE_MS = 5 * 60_000
const MAX_LINKS = 1_000
/** Nodes asked one after the other when they cannot answer. */
const NODES_ASKED = 3

/** Nodes that serve the tenant, the emptiest first. Throws `no_node`: slices of a tenant run only on nodes bound to it (architecture, section 7). */
const nodesFor = async (c: AppContext, tenant: TenantId): Promise<NodeId[]> => {
  const inPool = (pool: PoolName): Promise<NodeId[]> => stub(c.env.POOL, pool, c.env).nodesFor(tenant)
  const usual = await inPool(USUAL_POOL)
  if (usual.length > 0) return usual
  // The directory is asked only where it must be: a slice waits for each question.
  const known = await stub(c.env.DIRECTORY, 'directory', c.env).nodes(tenant)
  for (const pool of new Set(known.map((node) => node.pool)))
    if (pool !== USUAL_POOL) {
      const nodes = await inPool(PoolName.parse(pool))
      if (nodes.length > 0) return nodes
    }
  throw new Problem(
    'no_node',
    'This question needs a compute node, and none that serves this tenant is connected. Start one, or slice in the browser.',
    {
      headers: { 'retry-after': '5' },
    },
  )
}

const nobodyCould = (what: string, detail: string): Problem =>
  new Problem('unavailable', `No node could ${what}: ${detail}`, { headers: { 'retry-after': '1' } })

/** A cache only: by what the grant allows, and under which secret. */
const readGrants = new Map<string, { grant: string; until: number }>()

/** Page after page asks for the same files, and a signature costs more than the rest of the question. */
const readGrant = async (secrets: string, wanted: Grant): Promise<string> => {
  const now = Date.now()
  const name = JSON.stringify([secrets, wanted])
  const known = readGrants.get(name)
  if (known && now < known.until) return known.grant
  const grant = await signGrant(secrets, wanted, now, GRANT_SECONDS)
  if (readGrants.size >= MAX_LINKS) readGrants.clear()
  readGrants.set(name, { grant, until: now + LINK_REUSE_MS })
  return grant
}

/** Read links to the result's files for 15 minutes: the node takes the pack where there is one, and the Parquet where it is not in order. */
const filesOf = async (c: AppContext, loaded: LoadedResult): Promise<SliceFile[]> => {
  const { tenant } = personOf(c)
  const { manifest, pack, job } = loaded
  const link = async (key: string): Promise<Pick<SliceFile, 'url' | 'headers'>> => ({
    url: NODE_OBJECTS_PATH,
    headers: { [GRANT_HEADER]: await readGrant(c.env.SCARAB_SECRET, { key, mode: 'get', tenant, job: job.id }) },
  })
  const packed = pack
    ? [{ kind: 'pack' as const, ...(await link(packKey(tenant, manifest.result))), bytes: pack.bytes, sha256: pack.sha256 }]
    : []
  const parquet = await Promise.all(
    manifest.files.map(async ({ key, bytes, sha256 }) => ({ kind: 'parquet' as const, ...(await link(key)), bytes, sha256 })),
  )
  return [...packed, ...parquet]
}

interface Question {
  query: NormalSlice
  scope: SliceMessage['scope']
  format: 'json' | 'csv'
  hash: string
  key: string
  seconds: number
}

const messageOf = async (c: AppContext, loaded: LoadedResult, question: Question): Promise<Omit<SliceMessage, 'type' | 're'>> => {
  const { tenant } = personOf(c)
  const { manifest } = loaded
  const grant = await signGrant(c.env.SCARAB_SECRET, { key: question.key, mode: 'put', tenant }, Date.now(), GRANT_SECONDS)
  return {
    tenant,
    result: manifest.result,
    schema: { id: manifest.schema_id, columns: manifest.columns, added: manifest.added },
    rows: manifest.rows,
    query: question.query,
    scope: question.scope,
    format: question.format,
    hash: question.hash,
    files: await filesOf(c, loaded),
    max_body_bytes: question.scope === 'all' ? 0 : MAX_LINK_SLICE_BYTES,
    put: { url: NODE_OBJECTS_PATH, headers: { [GRANT_HEADER]: grant }, uploads: NODE_UPLOADS_PATH },
    timeout_seconds: question.seconds,
  }
}

/**
 * A slice's text, or the key of its object: one that is stored already, or the answer of a node. `known`: it was asked for
 * before; else nothing can be stored of it, and object storage need not be asked.
 */
export const storedOrMade = async (
  c: AppContext,
  loaded: LoadedResult,
  query: NormalSlice,
  hash: SliceHash,
  format: 'json' | 'csv',
  known: Promise<boolean>,
): Promise<{ body: string } | { key: string }> => {
  const { tenant } = personOf(c)
  const key = sliceKey(tenant, loaded.manifest.result, hash, format)
  const prepared = Promise.all([
    nodesFor(c, tenant),
    messageOf(c, loaded, { query, scope: 'slice', format, hash, key, seconds: SLICE_SECONDS }),
  ])
  // Where no node is there, what is stored can be had all the same.
  prepared.catch(() => undefined)
  if ((await known) && (await c.env.RESULTS.head(key))) return { key }
  const [nodes, message] = await prepared
  let detail = ''
  for (const node of nodes.slice(0, NODES_ASKED)) {
    const outcome = await stub(c.env.LINK, node, c.env).slice(message)
    if (!outcome.ok) {
      // Another node may answer what this one could not; a wrong question is wrong everywhere.
      if (outcome.code !== 'unavailable') throw new Problem(outcome.code, outcome.detail)
      detail = outcome.detail
      continue
    }
    return 'body' in outcome ? { body: outcome.body } : { key }
  }
  throw nobodyCould('answer the slice', detail)
}

/** Has a node make the whole result in another format; returns at once, throws when an earlier try has failed. */
export const deriveWhole = async (c: AppContext, loaded: LoadedResult, format: 'csv' | 'json'): Promise<void> => {
  const { tenant } = personOf(c)
  const key = derivedKey(tenant, loaded.manifest.result, format)
  // Always in the same order: a request that went to another node would not hear what became of the first one's.
  const nodes = inOrderFor(key, await nodesFor(c, tenant))
  const query: NormalSlice = {
    where: [],
    select: loaded.manifest.columns.map(({ name }) => ({ col: name })),
    group: [],
    order: [],
    limit: 0,
    offset: 0,
  }
  const message = await messageOf(c, loaded, { query, scope: 'all', format, hash: 'all', key, seconds: DERIVE_SECONDS })
  let detail = ''
  for (const node of nodes.slice(0, NODES_ASKED)) {
    const fault = await stub(c.env.LINK, node, c.env).derive(key, message)
    if (fault === null) return
    if (fault.code !== 'unavailable') throw new Problem(fault.code, `The ${format.toUpperCase()} could not be made: ${fault.detail}`)
    detail = fault.detail
  }
  throw nobodyCould(`make the ${format.toUpperCase()}`, detail)
}
