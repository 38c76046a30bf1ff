import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './runtimes.mjs'

/** `npm run bench`: the measurements stand in `test/bench`. */
await import(pathToFileURL(join(ROOT, 'test/bench/main.ts')).href)
