/**
 * All that a local copy needs besides the engine: Arrow, the slice compiler, the contract's validators. It is loaded together with
 * the engine, so that the page itself stays small.
 */
export { loadPack, loadParquet, loadRows, lock } from './load.ts'
export { LocalCopy } from './local.ts'
export { summarise } from './stats.ts'
