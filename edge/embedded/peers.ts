import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './runtimes.mjs'

/** `npm run test:peers`: readers from elsewhere (PyIceberg, DuckDB; Trino on demand) against a running system; they stand in `test/peers`. */
await import(pathToFileURL(join(ROOT, 'test/peers/main.ts')).href)
