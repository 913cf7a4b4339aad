/** What networks do to messages and to connections. A message that arrives at all is expected once, however it came. */
import type { Effect } from './draft.ts';
import type { Fault, FaultName } from './spec.ts';

type NetworkFault = Fault<Extract<FaultName, `network.${string}`>>;
/** Faults of the connection, whatever is sent. */
export type ConnectionFault = Fault<'network.dropout' | 'network.half_open' | 'network.reconnect_storm'>;

export function isConnectionFault(spec: { fault: FaultName }): spec is ConnectionFault {
  const { fault } = spec;
  return fault === 'network.dropout' || fault === 'network.half_open' || fault === 'network.reconnect_storm';
}

/** Of a connection fault only the label: what was made meanwhile. */
export function networkEffect(spec: NetworkFault): Effect {
  switch (spec.fault) {
    case 'network.loss':
      return (draft) => {
        draft.copies = 0;
        return true;
      };
    case 'network.duplicate':
      return (draft) => {
        if (draft.copies === 1) draft.copies = spec.copies;
        return true;
      };
    case 'network.reorder':
      return (draft) => {
        draft.isHeldBack = true;
        return true;
      };
    case 'network.delay':
      return (draft) => {
        draft.delayMs = spec.by;
        return true;
      };
    default:
      return () => true;
  }
}
