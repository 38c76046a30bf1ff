/**
 * How long a test may take, for `setDefaultTimeout`. Bun's own 5 s are a stop watch: on a busy machine PostgreSQL needs longer
 * for its start alone. Only what never ends shall fail by it.
 */
export const PATIENCE_MS = 300_000
