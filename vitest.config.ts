import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * `unit`: no service, no browser, in parallel. `services`: contracts, promises and end-to-end, one file at a time, on
 * the embedded adapters always and on real Kafka, InfluxDB, chromium and MQTT clients wherever they can be had.
 */
const services = ['test/contracts/**/*.test.ts', 'test/promises/**/*.test.ts', 'test/e2e/**/*.test.ts'];

export default defineConfig({
  test: {
    // Left alone it keeps a core for watching: on two it would run one file at a time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: services,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'services',
          include: services,
          globalSetup: ['test/support/services.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
