import { defineConfig } from 'vitest/config'

/** Node-side tests: pure edge and web code, and whatever crosses two places. Compute's tests run under `bun test`. */
export default defineConfig({
  test: {
    include: ['edge/**/*.test.ts', 'web/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/bench/**', 'node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores: files that start a whole system would starve each other.
    maxWorkers: 2,
  },
})
