/** The producer of a lane: every `send` is one attempt. */
import type { Kafka, Message } from 'kafkajs';
import { isHalfConnected, isTimeout } from './errors.ts';
import type { LaneProducer } from './lane.ts';

export async function connectProducer(kafka: Kafka): Promise<LaneProducer> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition!,
    // None, in the only form that the client takes: a retry of its own drops the records of a partition whose leader
    // moved, meanwhile, to a broker that has answered already, and acknowledges them.
    retry: { retries: Number.NaN },
  });
  await producer.connect();
  let isConnected = true;
  return {
    send: async (topic, messages) => {
      if (!isConnected) await producer.connect();
      isConnected = true;
      try {
        await producer.send({ topic, acks: -1, messages: messages as Message[] });
      } catch (error) {
        if (isTimeout(error) || isHalfConnected(error)) {
          // The connection may be dead without anyone having said so. A new one keeps the sequence numbers.
          isConnected = false;
          await producer.disconnect();
        }
        throw error;
      }
    },
    disconnect: () => producer.disconnect(),
  };
}
