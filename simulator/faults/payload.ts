/** Bytes that are not what they should be. Each has one reason for which a decoder gives it up. */
import type { DeadLetterReason } from '../../core/reasons.ts';
import type { Random } from '../random.ts';
import type { Draft } from './draft.ts';
import type { Fault, FaultName } from './spec.ts';

export type PayloadFault = Fault<Extract<FaultName, `payload.${string}`>>;

/** What becomes of a payload that is in order: an object in JSON. */
export function payloadEffect(spec: PayloadFault, random: Random): (draft: Draft, payload: string) => string | Buffer {
  switch (spec.fault) {
    case 'payload.truncated':
      return (draft, payload) => {
        unreadable(draft, 'not_json');
        // Between characters, so that what is left is text.
        return payload.slice(0, 1 + Math.floor(random() * (payload.length - 1)));
      };
    case 'payload.invalid_utf8':
      return (draft, payload) => {
        unreadable(draft, 'not_utf8');
        const bytes = Buffer.from(payload);
        // A byte that is nowhere in UTF-8.
        bytes[Math.floor(random() * bytes.length)] = 0xff;
        return bytes;
      };
    case 'payload.oversized':
      return (draft, payload) => {
        draft.isReadable = false;
        draft.expect = { as: 'refused_by_broker' };
        return withMember(payload, `"padding":"${'x'.repeat(spec.bytes)}"`);
      };
    case 'payload.deep':
      return (draft, payload) => {
        unreadable(draft, 'unsupported_value');
        return withMember(payload, `"deep":${'{"in":'.repeat(spec.depth)}0${'}'.repeat(spec.depth)}`);
      };
  }
}

function unreadable(draft: Draft, reason: DeadLetterReason): void {
  draft.isReadable = false;
  draft.expect = { as: 'dead_letter', reason };
}

function withMember(payload: string, member: string): string {
  const opened = payload.slice(0, -1);
  return `${opened}${opened === '{' ? '' : ','}${member}}`;
}
