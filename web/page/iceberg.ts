import { isRecord } from '../client/wire.ts'
import { client } from './session.ts'

/*
 * The little of the Iceberg REST protocol that a list of tables needs (Apache Iceberg, `rest-catalog-open-api.yaml`): config,
 * namespaces, tables, load table.
 */

export interface Snapshot {
  /** As text, as it stands in the JSON: it has 63 bits, and only its look matters here. */
  id: string
  at: number
  operation: string
  added: number | null
  total: number | null
}

export interface Table {
  name: string
  columns: { name: string; type: string }[]
  /** Newest first. */
  snapshots: Snapshot[]
  location: string | null
}

const get = async (path: string, signal: AbortSignal): Promise<{ body: Record<string, unknown>; text: string }> => {
  const text = await (await client.http.request(path, { signal })).text()
  const body: unknown = JSON.parse(text)
  return { body: isRecord(body) ? body : {}, text }
}

let prefix: Promise<string> | null = null

/** The catalog's own prefix, which its configuration names. */
const prefixOf = (signal: AbortSignal): Promise<string> => {
  prefix ??= get('/iceberg/v1/config', signal).then(({ body }) => {
    const from = (part: unknown): string | null => (isRecord(part) && typeof part.prefix === 'string' ? part.prefix : null)
    const found = from(body.overrides) ?? from(body.defaults)
    return found === null ? '/iceberg/v1' : `/iceberg/v1/${found}`
  })
  prefix.catch(() => {
    prefix = null
  })
  return prefix
}

const names = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [])

export const listTables = async (signal: AbortSignal): Promise<string[]> => {
  const root = await prefixOf(signal)
  const { body } = await get(`${root}/namespaces`, signal)
  const namespaces = Array.isArray(body.namespaces) ? body.namespaces.map((one: unknown) => names(one).join('.')) : []
  const lists = await Promise.all(
    namespaces
      .filter((namespace) => namespace !== '')
      .map(async (namespace) => {
        const tables = (await get(`${root}/namespaces/${encodeURIComponent(namespace)}/tables`, signal)).body.identifiers
        return Array.isArray(tables)
          ? tables.flatMap((one: unknown) => (isRecord(one) && typeof one.name === 'string' ? [`${namespace}.${one.name}`] : []))
          : []
      }),
  )
  return lists.flat().sort()
}

const number = (value: unknown): number | null => {
  const read = typeof value === 'string' ? Number(value) : value
  return typeof read === 'number' && Number.isFinite(read) ? read : null
}

const typeText = (type: unknown): string => {
  if (typeof type === 'string') return type
  return isRecord(type) && typeof type.type === 'string' ? type.type : ''
}

export const loadTable = async (name: string, signal: AbortSignal): Promise<Table> => {
  const root = await prefixOf(signal)
  const at = name.lastIndexOf('.')
  const path = `${root}/namespaces/${encodeURIComponent(name.slice(0, at))}/tables/${encodeURIComponent(name.slice(at + 1))}`
  const { text } = await get(path, signal)
  // Snapshot ids have more digits than a number of JavaScript keeps.
  const body: unknown = JSON.parse(text.replace(/("(?:current-)?snapshot-id"\s*:\s*)(-?\d+)/g, '$1"$2"'))
  const metadata = isRecord(body) && isRecord(body.metadata) ? body.metadata : {}
  const schemas = Array.isArray(metadata.schemas) ? metadata.schemas.filter(isRecord) : []
  const schema = schemas.find((one) => one['schema-id'] === metadata['current-schema-id']) ?? schemas.at(-1)
  const fields = schema !== undefined && Array.isArray(schema.fields) ? schema.fields.filter(isRecord) : []
  const snapshots = Array.isArray(metadata.snapshots) ? metadata.snapshots.filter(isRecord) : []
  return {
    name,
    columns: fields.map((field) => ({ name: String(field.name), type: typeText(field.type) })),
    location: typeof metadata.location === 'string' ? metadata.location : null,
    snapshots: snapshots
      .map((one): Snapshot => {
        const summary = isRecord(one.summary) ? one.summary : {}
        return {
          id: String(one['snapshot-id']),
          at: number(one['timestamp-ms']) ?? 0,
          operation: typeof summary.operation === 'string' ? summary.operation : 'change',
          added: number(summary['added-records']),
          total: number(summary['total-records']),
        }
      })
      .sort((a, b) => b.at - a.at),
  }
}
