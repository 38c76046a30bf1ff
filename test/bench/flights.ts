import { join } from 'node:path'
import { ROOT } from '../../edge/embedded/runtimes.mjs'

/** Three million US flights of 2001, from npm (`vega-datasets`, whose `exports` do not name it). */
export const FLIGHTS = join(ROOT, 'node_modules/vega-datasets/data/flights-3m.parquet')
