import { config } from 'zod'

/**
 * The contract's modules come with their schemas, and zod tries at their birth whether it may compile code from text. The page's
 * policy refuses that, and a refusal is reported as an attack would be: so it is told not to try. Imported before them.
 */
config({ jitless: true })
