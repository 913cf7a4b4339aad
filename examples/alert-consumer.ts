/**
 * Prints one line per alert event:  KAFKA_BROKERS=localhost:9092 node examples/alert-consumer.ts
 *
 * After a crash of the pipeline some events come again: what is not newer, by (`startsAt`, `seq`), than the newest of its
 * fingerprint is a repeat. After a crash of this program the group goes on where it committed.
 */
import { Kafka, logLevel } from 'kafkajs';

interface Place {
  startsAt: string;
  seq: number;
}

const { KAFKA_BROKERS = 'localhost:9092', TOPIC = 'iot.alerts.v1', GROUP = 'alert-printer' } = process.env;
const kafka = new Kafka({ clientId: GROUP, brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: GROUP, allowAutoTopicCreation: false });
const newest = new Map<string, Place>();

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => consumer.disconnect());
// After a crash that the client does not recover from, whoever supervises this program starts it again.
consumer.on('consumer.crash', ({ payload }) => {
  if (!payload.restart) process.exit(1);
});

await consumer.connect();
await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
await consumer.run({
  eachMessage: async ({ partition, message }) => {
    // Never throws: an event that cannot be read must not stop those behind it.
    try {
      const { fingerprint, startsAt, seq, severity, status, summary } = JSON.parse(String(message.value));
      if (typeof fingerprint !== 'string' || typeof startsAt !== 'string') throw new Error('not an alert');
      const seen = newest.get(fingerprint);
      if (seen !== undefined && !isAfter({ startsAt, seq }, seen)) return;
      newest.set(fingerprint, { startsAt, seq });
      console.log(`${startsAt} ${severity} ${status}: ${summary}`);
    } catch (error) {
      console.error(
        `skipped ${TOPIC}/${partition}/${message.offset}: ${error instanceof Error ? error.message : error}`,
      );
    }
  },
});

function isAfter(a: Place, b: Place): boolean {
  // Without their Z, times of any precision sort as texts.
  return a.startsAt === b.startsAt ? a.seq > b.seq : a.startsAt.slice(0, -1) > b.startsAt.slice(0, -1);
}
