/** What the bus refuses for good, as a record of the DLQ. */
import type { NewRecord } from '../../bus/port.ts';
import { headers } from '../../core/topics.ts';

/** Well below what the DLQ takes, whatever the reason of the refusal was. */
const maxValueBytes = 512 * 1024;
const maxErrorLength = 1000;

/** `topic`: where the record was to go. What is cut off is told in `dlq.error`. */
export function notAppendable(record: NewRecord, topic: string, message: string): NewRecord {
  const bytes = record.value?.length ?? 0;
  const cut = bytes > maxValueBytes ? `; cut to ${maxValueBytes} of ${bytes} bytes` : '';
  return {
    ...record,
    value: record.value?.subarray(0, maxValueBytes) ?? null,
    headers: {
      ...record.headers,
      [headers.dlqReason]: 'not_appendable',
      [headers.dlqError]: `${message.slice(0, maxErrorLength)}${cut}`,
      [headers.sourceTopic]: topic,
      [headers.sourcePartition]: String(record.partition),
    },
  };
}
