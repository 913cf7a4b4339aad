/** What the client asks of a grouping; the partitioner knows all it needs from the message. */
export interface Grouping<Message> {
  readonly messages: readonly Message[];
  readonly partitioner: (where: { readonly message: Message }) => number;
}

/** Messages by their partition, in their order. The client's own copies what a partition has for each that it adds. */
export function groupByPartition<Message>({ messages, partitioner }: Grouping<Message>): Record<number, Message[]> {
  const groups: Record<number, Message[]> = {};
  for (const message of messages) {
    const partition = partitioner({ message });
    groups[partition] ??= [];
    groups[partition].push(message);
  }
  return groups;
}
