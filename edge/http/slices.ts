import { Hono } from 'hono'
import { canonicalJson } from '../contract/canonical.ts'
import { type JobId, jobOf, ResultId, SliceHash } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import { normalise } from '../contract/slice-form.ts'
import { sliceHash } from '../contract/slice-hash.ts'
import { NormalSlice, SliceRequest } from '../contract/slices.ts'
import { answerFromManifest, answerFromRows, jsonOf } from '../slices/answers.ts'
import { csvOf } from '../slices/csv.ts'
import { readBody } from './body.ts'
import type { AppContext, AppEnv } from './context.ts'
import { tagOf } from './etags.ts'
import { allow } from './guard.ts'
import { attachment, queryOf } from './headers.ts'
import { foundOr, jobIdOf, ledgerOf } from './jobs.ts'
import { serveBytes, serveObject } from './objects.ts'
import { type LoadedResult, loadResult, loadWritten, reportColumns } from './result-source.ts'
import { storedOrMade } from './slice-nodes.ts'

const TYPES = { csv: 'text/csv; charset=utf-8', json: 'application/json' } as const
const encoder = new TextEncoder()

/** The weight that an `Accept` header gives to a type by its name (RFC 9110, section 12.5.1); null where it is not named. */
const weightOf = (accept: string, type: string): number | null => {
  for (const one of accept.toLowerCase().split(',')) {
    const [name, ...parameters] = one.split(';').map((part) => part.trim())
    if (name !== type) continue
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    return weight === undefined ? 1 : Number(weight) || 0
  }
  return null
}

/** `?format=` wins over `Accept`; JSON is the default, CSV for who names it and does not like JSON better. */
const formatOf = (c: AppContext): 'json' | 'csv' => {
  const asked = queryOf(c, 'format')
  if (asked === 'json' || asked === 'csv') return asked
  if (asked !== undefined) throw new Problem('invalid_parameter', `format is json or csv, not "${asked.slice(0, 50)}".`)
  const accept = c.req.header('accept') ?? ''
  const csv = weightOf(accept, 'text/csv') ?? 0
  return csv > 0 && csv >= (weightOf(accept, 'application/json') ?? 0) ? 'csv' : 'json'
}

/** Where the same answer can be had again by GET, for ever. */
const addressOf = (loaded: LoadedResult, hash: SliceHash, format: 'json' | 'csv'): string =>
  `/v1/results/${loaded.manifest.result}/slice/${hash}${format === 'csv' ? '?format=csv' : ''}`

/** Answers a normalised slice: from the rows or the manifest where that is exact, from a stored answer, else by a node. */
const answer = async (
  c: AppContext,
  loaded: LoadedResult,
  query: NormalSlice,
  hash: SliceHash,
  known: Promise<boolean>,
): Promise<Response> => {
  const format = formatOf(c)
  const { manifest, rows } = loaded
  const served = { type: TYPES[format], disposition: attachment(`${manifest.task}-${hash}.${format}`), vary: 'Accept' }
  const columns = reportColumns(manifest)
  const local = rows ? answerFromRows(columns, rows, query) : answerFromManifest({ ...manifest, columns }, query)
  let body: string
  let tag: string = hash
  if (local !== 'needs_engine') body = format === 'csv' ? csvOf(local.columns, local.rows) : jsonOf(local, hash)
  else {
    const made = await storedOrMade(c, loaded, query, hash, format, known)
    if ('key' in made) {
      const response = await serveObject(c, made.key, served)
      if (!response) throw new Error(`the slice ${made.key} is missing`)
      return withLocation(response, addressOf(loaded, hash, format))
    }
    body = made.body
    // A node may answer anew in another order, by the clock, or with other last digits of a sum of doubles: the tag is that of the text.
    tag = tagOf(body).replace(/^W\/"|"$/g, '')
  }
  return withLocation(serveBytes(c, encoder.encode(body), { ...served, etag: `"${tag}-${format}"` }), addressOf(loaded, hash, format))
}

const withLocation = (response: Response, address: string): Response => {
  const answered = new Response(response.body, response)
  answered.headers.set('content-location', address)
  return answered
}

const postSlice = async (c: AppContext, id: JobId): Promise<Response> => {
  const loaded = await loadResult(c, id)
  const request = await readBody(c, SliceRequest)
  const normalised = normalise(request, reportColumns(loaded.manifest))
  if (!normalised.ok) {
    const [first] = normalised.errors
    throw new Problem('invalid_slice', first ? `${first.path}: ${first.message}` : 'The slice does not fit the result.', {
      errors: normalised.errors,
    })
  }
  const hash = await sliceHash(normalised.slice)
  // What was asked is remembered whether or not it can be answered now.
  const known: Promise<boolean> = ledgerOf(c).rememberSlice(loaded.manifest.result, hash, canonicalJson(normalised.slice))
  const [response] = await Promise.all([answer(c, loaded, normalised.slice, hash, known), known])
  return response
}

const getSlice = async (c: AppContext): Promise<Response> => {
  const result = ResultId.safeParse(c.req.param('result'))
  const hash = SliceHash.safeParse(c.req.param('hash'))
  const unknown = (): Problem => new Problem('not_found', 'No such slice was asked for. POST it to the job first: …/slice.')
  if (!result.success || !hash.success) throw unknown()
  const query = await ledgerOf(c).sliceQuery(result.data, hash.data)
  if (query === null) {
    // A deleted result is gone to its tenant, slices and all.
    const job = jobOf(result.data)
    if ((await ledgerOf(c).job(job)).found === 'gone') foundOr('gone', job)
    throw unknown()
  }
  return answer(c, await loadWritten(c, jobOf(result.data)), NormalSlice.parse(JSON.parse(query)), hash.data, Promise.resolve(true))
}

export const slicesApp = new Hono<AppEnv>().post('/:id/slice', allow('results:read'), (c) => postSlice(c, jobIdOf(c)))
export const sliceAddressApp = new Hono<AppEnv>().get('/:result/slice/:hash', allow('results:read'), getSlice)
