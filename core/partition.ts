/**
 * murmur2 as Kafka's Java client computes it, so that a key lands in the same partition whoever writes it and on
 * whichever bus. Checked against the Java vectors in `test/core/partition.test.ts`.
 */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = bytes.length;
  let hash = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    hash = Math.imul(hash, m) ^ k;
  }
  const rest = length - i;
  if (rest === 3) hash ^= bytes[i + 2]! << 16;
  if (rest >= 2) hash ^= bytes[i + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[i]!, m);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, m);
  return hash ^ (hash >>> 15);
}

const encoder = new TextEncoder();

/** The partition of a key among `partitionCount`, as Kafka's default partitioner chooses it. */
export function partitionOf(key: string, partitionCount: number): number {
  return (murmur2(encoder.encode(key)) & 0x7fffffff) % partitionCount;
}
