import { text } from 'node:stream/consumers'
import { DuckDBInstance } from '@duckdb/node-api'
import { z } from 'zod'

/** Asks an Iceberg catalog one question with DuckDB. One JSON request on stdin, the rows as JSON on stdout. */
const Request = z.object({ sql: z.string(), extensions: z.array(z.string()), uri: z.string(), token: z.string(), tenant: z.string() })

const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`

const { sql, extensions, uri, token, tenant } = Request.parse(JSON.parse(await text(process.stdin)))
const instance = await DuckDBInstance.create(':memory:', {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
})
const db = await instance.connect()
for (const extension of extensions) await db.run(`LOAD ${quoted(extension)}`)
await db.run(`CREATE SECRET peer (TYPE iceberg, TOKEN ${quoted(token)})`)
await db.run(`ATTACH ${quoted(tenant)} AS lake (TYPE iceberg, ENDPOINT ${quoted(uri)}, SECRET peer)`)
const read = await db.runAndReadAll(sql)
const rows = read.getRows().map((row) => row.map((value) => (value === null ? null : String(value))))
process.stdout.write(JSON.stringify(rows))
