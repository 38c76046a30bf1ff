import { defineConfig } from 'vitest/config'

/** Node-side tests: pure edge and web code, and whatever crosses two places. Compute's tests run under `bun test`. */
export default defineConfig({
  test: {
    include: ['edge/**/*.test.ts', 'web/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/bench/**', 'node_modules/**'],
    // No measure of speed: they end what hangs. A wait inside a test gives up sooner and says what for (test/support/patience.ts).
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // Two cores: files that start a whole system would starve each other.
    maxWorkers: 2,
  },
})
