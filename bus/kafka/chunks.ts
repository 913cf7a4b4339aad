/** How the messages of an append are cut into requests. */
import type { OutgoingMessage } from './records.ts';

/** Of one partition in one request: beyond it the client groups in quadratic time, and brokers refuse larger batches. */
export const maxPartitionMessages = 1000;
export const maxPartitionBytes = 512 * 1024;

/** Room for the framing of a message and of each header. */
const framingBytes = 32;

/** About what a message takes in a request, bytes. */
export function sizeOf({ key, value, headers }: OutgoingMessage): number {
  let bytes = framingBytes + key.length + (value?.length ?? 0);
  for (const name in headers) bytes += framingBytes + name.length + headers[name]!.length;
  return bytes;
}

/** Runs of messages that fit into one request each, in order. `bytes`: of all together. */
export function chunksOf(messages: readonly OutgoingMessage[], bytes: number): (readonly OutgoingMessage[])[] {
  if (messages.length <= maxPartitionMessages && bytes <= maxPartitionBytes) return [messages];
  const chunks: (readonly OutgoingMessage[])[] = [];
  let from = 0;
  let used = new Map<number, { messages: number; bytes: number }>();
  for (const [i, message] of messages.entries()) {
    const size = sizeOf(message);
    let partition = used.get(message.partition);
    if (partition !== undefined && isFull(partition, size)) {
      chunks.push(messages.slice(from, i));
      from = i;
      used = new Map();
      partition = undefined;
    }
    if (partition === undefined) used.set(message.partition, { messages: 1, bytes: size });
    else {
      partition.messages++;
      partition.bytes += size;
    }
  }
  chunks.push(from === 0 ? messages : messages.slice(from));
  return chunks;
}

function isFull(used: { messages: number; bytes: number }, bytes: number): boolean {
  return used.messages >= maxPartitionMessages || used.bytes + bytes > maxPartitionBytes;
}

/** The parts to look for a refused message in: by partition while there are several, then the halves of the one. */
export function halvesOf(messages: readonly OutgoingMessage[]): (readonly OutgoingMessage[])[] {
  const byPartition = Map.groupBy(messages, ({ partition }) => partition);
  if (byPartition.size > 1) return [...byPartition.values()];
  const middle = Math.ceil(messages.length / 2);
  return [messages.slice(0, middle), messages.slice(middle)];
}
