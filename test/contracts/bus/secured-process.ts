/**
 * A member of a secured Kafka, as a process of its own: the certificates to trust come in with its environment.
 *
 *     secured-process.ts BROKERS MECHANISM USER PASSWORD    makes a topic, appends, consumes and commits; says what it read
 */
import { randomUUID } from 'node:crypto';
import { KafkaBus, type KafkaBusOptions } from '../../../bus/kafka.ts';
import { systemClock } from '../../../core/clock.ts';
import { messageOf } from '../../../core/errors.ts';
import { silentLogger } from '../../../core/log.ts';

const [brokers, mechanism, username, password] = process.argv.slice(2);
const bus = new KafkaBus({
  brokers: [brokers!],
  clientId: 'secured',
  ssl: true,
  sasl: { mechanism, username, password } as KafkaBusOptions['sasl'],
  lanes: 1,
  replicationFactor: null,
  startTimeoutMs: 0,
  clock: systemClock,
  log: silentLogger,
});
try {
  await bus.start();
  const name = `secured.${randomUUID()}`;
  const kept = { retentionMs: null, retentionBytes: null, maxMessageBytes: 1024 * 1024 };
  await bus.createTopics([{ name, partitions: 1, cleanup: 'delete', ...kept }]);
  await bus.append(name, [{ key: 'k', value: Buffer.from('over TLS'), headers: {}, timestampMs: systemClock.nowMs() }]);
  const read = Promise.withResolvers<string>();
  await bus.consume(
    name,
    'group',
    async (batch) => {
      if (!batch.closing) await batch.commit(1, '');
      for (const { value } of batch.records) read.resolve(String(value));
    },
    { sessionTimeoutMs: 6_000, maxBatchRecords: 10 },
  );
  console.log(await read.promise);
} catch (error) {
  console.log(messageOf(error));
} finally {
  await bus.close();
}
