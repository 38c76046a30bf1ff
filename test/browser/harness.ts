import { createClient } from '../../web/client/index.ts'

/** Puts the client library where a test can call it; bundled by the test, never shipped. */
Object.assign(globalThis, { scarab: { createClient } })
