import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * `unit`: no service, no browser, in parallel. `services`: contracts, promises and end-to-end, on the embedded adapters
 * always and on real Kafka, InfluxDB, chromium and MQTT clients wherever they can be had; two files at a time, as they
 * wait for most of theirs. `alone`: those of them that load the machine or are about its pace, with nothing beside them.
 */
const needServices = ['test/contracts/**/*.test.ts', 'test/promises/**/*.test.ts', 'test/e2e/**/*.test.ts'];
const alone = [
  'test/promises/chaos.test.ts',
  'test/promises/gateway-stall.test.ts',
  'test/e2e/verify.test.ts',
  'test/e2e/page.test.ts',
  'test/contracts/store-embedded-faults.test.ts',
];
const patience = { globalSetup: ['test/support/services.ts'], testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    // Left alone it keeps a core for watching: on two it would run one file at a time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: needServices,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          ...patience,
          name: 'services',
          include: needServices,
          exclude: alone,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...patience,
          name: 'alone',
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
