/** Where the parts of a record batch begin (message format v2), from its first byte. */
export const at = {
  firstOffset: 0,
  length: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  firstSequence: 53,
  recordCount: 57,
  records: 61,
} as const;
/** What `length` does not count: the first offset and itself. */
export const uncountedBytes = at.partitionLeaderEpoch;
