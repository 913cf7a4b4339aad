/** Messages of those who should not send them. */
import type { Effect } from './draft.ts';
import type { Fault, FaultName } from './spec.ts';

export type SecurityFault = Fault<Extract<FaultName, `security.${string}`>>;

/** `speaksForItself`: the broker knows the device as itself alone. `fillIn` puts its names into a topic. */
export function securityEffect(
  spec: SecurityFault,
  speaksForItself: boolean,
  fillIn: (template: string) => string,
): Effect {
  switch (spec.fault) {
    case 'security.wrong_password':
      return (draft) => {
        draft.isByIntruder = true;
        draft.expect = { as: 'refused_by_broker' };
        return true;
      };
    case 'security.foreign_topic': {
      const topic = fillIn(spec.topic);
      return (draft) => {
        draft.topic = topic;
        draft.isReadable = false;
        // What is too large is refused on every topic.
        const isRefused = speaksForItself || draft.expect.as === 'refused_by_broker';
        draft.expect = isRefused ? { as: 'refused_by_broker' } : { as: 'dead_letter', reason: 'no_route' };
        return true;
      };
    }
  }
}
