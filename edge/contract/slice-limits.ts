/** Limits of slices, free of the schema library, which the browser shall not load. */
export const DEFAULT_SLICE_ROWS = 1_000
export const MAX_SLICE_ROWS = 100_000
/** A slice answer up to this size comes over the node's socket; a larger one is put on object storage. Architecture, section 5. */
export const MAX_LINK_SLICE_BYTES = 256 * 1024
export const MAX_SLICE_SQL_BYTES = 100_000
