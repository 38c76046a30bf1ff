import { Hono } from 'hono'
import { typeName } from '../contract/columns.ts'
import type { JobId } from '../contract/ids.ts'
import { derivedKey, packKey } from '../contract/keys.ts'
import type { ResultDocument } from '../contract/manifests.ts'
import { Problem } from '../contract/problems.ts'
import { signManifest } from '../identity/signature.ts'
import { csvOf } from '../slices/csv.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { allow } from './guard.ts'
import { attachment, queryInteger, queryOf } from './headers.ts'
import { jobIdOf } from './jobs.ts'
import { serveBytes, serveObject } from './objects.ts'
import { type LoadedResult, loadResult, reportColumns } from './result-source.ts'
import { deriveWhole } from './slice-nodes.ts'

const base = (id: JobId): string => `/v1/jobs/${id}`

const fileLinks = ({ job, manifest }: LoadedResult): string[] =>
  manifest.files.map(({ n }) =>
    manifest.files.length === 1 ? `${base(job.id)}/result.parquet` : `${base(job.id)}/result.parquet?file=${n}`,
  )

const documentOf = async (c: AppContext, loaded: LoadedResult): Promise<ResultDocument> => {
  const self = base(loaded.job.id)
  const links: Record<string, string> = {
    self: `${self}/result`,
    parquet: `${self}/result.parquet`,
    csv: `${self}/result.csv`,
    json: `${self}/result.json`,
    slice: `${self}/slice`,
  }
  if (loaded.pack) links.pack = `${self}/result.duckdb`
  return { ...(await signManifest(c.env.SCARAB_SECRET, loaded.manifest)), pack: loaded.pack, links, file_links: fileLinks(loaded) }
}

const encoder = new TextEncoder()
const nameOf = (loaded: LoadedResult, extension: string): string => `${loaded.manifest.task}-${loaded.job.id}.${extension}`

const parquet = async (c: AppContext, id: JobId): Promise<Response> => {
  const loaded = await loadResult(c, id)
  const { manifest } = loaded
  const wanted = queryOf(c, 'file')
  if (wanted === undefined && manifest.files.length > 1)
    throw new Problem('several_files', `The result of ${id} consists of ${manifest.files.length} files. Fetch them one by one.`, {
      links: Object.fromEntries(fileLinks(loaded).map((link, index) => [`file_${manifest.files[index]?.n ?? index}`, link])),
    })
  const n = wanted === undefined ? (manifest.files[0]?.n ?? 0) : queryInteger(c, 'file', 0, 0, 9_999)
  const file = manifest.files.find((candidate) => candidate.n === n)
  if (!file) throw new Problem('not_found', `The result of ${id} has no file ${n}; it has ${manifest.files.length}.`)
  const served = {
    type: 'application/vnd.apache.parquet',
    // Files of one result are kept beside each other.
    disposition: attachment(nameOf(loaded, manifest.files.length > 1 ? `${n}.parquet` : 'parquet')),
    // Its bytes' own: a small result's move from the ledger to object storage, and whoever began to read goes on.
    etag: `"${file.sha256}"`,
  }
  // The small result's bytes are in the ledger until its table has them.
  if (loaded.parquet) return serveBytes(c, loaded.parquet, served)
  const response = await serveObject(c, file.key, served)
  if (!response) throw new Error(`the file ${file.key} is missing`)
  return response
}

const TYPES = { csv: 'text/csv; charset=utf-8', json: 'application/json' } as const

/** CSV or JSON of the whole result: a small one at once, a large one as a derived object that is made once (202 meanwhile). */
const whole = async (c: AppContext, id: JobId, format: 'csv' | 'json'): Promise<Response> => {
  const loaded = await loadResult(c, id)
  const { manifest, rows } = loaded
  const served = { type: TYPES[format], disposition: attachment(nameOf(loaded, format)) }
  if (rows) {
    const columns = reportColumns(manifest).map(({ name }) => ({ name }))
    const text = format === 'csv' ? csvOf(columns, rows) : JSON.stringify({ columns: describe(loaded), rows })
    return serveBytes(c, encoder.encode(text), { ...served, etag: `"${manifest.result}-${format}"` })
  }
  const { tenant } = personOf(c)
  const key = derivedKey(tenant, manifest.result, format)
  const response = await serveObject(c, key, served)
  if (response) return response
  await deriveWhole(c, loaded, format)
  return c.json({ status: 'making', detail: `The ${format.toUpperCase()} of ${manifest.rows} rows is being made. Ask again.` }, 202, {
    'retry-after': '1',
    location: `${base(id)}/result.${format}`,
  })
}

const describe = ({ manifest }: LoadedResult): { name: string; type: string }[] =>
  reportColumns(manifest).map(({ name, type }) => ({ name, type: typeName(type) }))

const pack = async (c: AppContext, id: JobId): Promise<Response> => {
  const loaded = await loadResult(c, id)
  const served = { type: 'application/vnd.duckdb', disposition: attachment(nameOf(loaded, 'duckdb')) }
  const response = loaded.pack ? await serveObject(c, packKey(personOf(c).tenant, loaded.manifest.result), served) : null
  if (!response) throw new Problem('not_found', `The result of ${id} has no pack (yet). Its Parquet is at ${base(id)}/result.parquet.`)
  return response
}

export const resultsApp = new Hono<AppEnv>()
  .get('/:id/result', allow('results:read'), async (c) =>
    c.json(await documentOf(c, await loadResult(c, jobIdOf(c))), 200, { 'cache-control': 'no-store' }),
  )
  .get('/:id/result.parquet', allow('results:read'), (c) => parquet(c, jobIdOf(c)))
  .get('/:id/result.csv', allow('results:read'), (c) => whole(c, jobIdOf(c), 'csv'))
  .get('/:id/result.json', allow('results:read'), (c) => whole(c, jobIdOf(c), 'json'))
  .get('/:id/result.duckdb', allow('results:read'), (c) => pack(c, jobIdOf(c)))
