/**
 * The closed lists of reasons for which something does not become a stored, windowed reading. Every one is counted in
 * the ledger, `intended` says whether that is the system working as asked (true) or something an operator should look
 * at (false). `docs/reasons.md` explains each (a test compares).
 */

/** Why a whole message goes to the DLQ. */
export const deadLetterReasons = {
  no_route: { intended: false, text: 'no route matches the MQTT topic, so nothing can decode the message' },
  empty_payload: { intended: false, text: 'the payload has no bytes' },
  not_utf8: { intended: false, text: 'the payload is not valid UTF-8' },
  not_json: { intended: false, text: 'the payload is not JSON' },
  not_an_object: { intended: false, text: 'the payload is JSON, but not an object' },
  bad_timestamp: { intended: false, text: '`ts` is not a time in milliseconds since the epoch' },
  bad_seq: { intended: false, text: '`seq` is not a whole number of at least 0' },
  no_fields: { intended: false, text: 'the payload holds no value that can be stored' },
  unsupported_value: { intended: false, text: 'a field is an array or too deep an object' },
  bad_field_name: { intended: false, text: 'a field name is empty, too long or holds control characters' },
  too_many_fields: { intended: false, text: 'the payload holds more fields than one reading may have' },
  not_appendable: { intended: false, text: 'the bus refuses the record for good (too large, for example)' },
} as const satisfies Record<string, ReasonInfo>;

/** Why a message is passed over without being kept anywhere else than in the raw topic. */
export const ignoredReasons = {
  retained_clear: { intended: true, text: 'an empty retained message: it clears a topic and carries no reading' },
} as const satisfies Record<string, ReasonInfo>;

/** Why one reading of a decoded message goes to the DLQ. */
export const rejectedReasons = {
  future: { intended: false, text: 'the event time is further ahead of the receive time than `maxFutureMs`' },
  too_old: { intended: false, text: 'the event time is before the year 2000: the device clock is not set' },
  same_time: { intended: false, text: 'more than 1,000 different readings of the device at one time' },
} as const satisfies Record<string, ReasonInfo>;

/** Why an accepted reading is stored but takes part in no window. */
export const notWindowedReasons = {
  no_number: { intended: true, text: 'no field is a number' },
  too_many_fields: { intended: false, text: 'the window of the device would hold more than 1,024 fields' },
} as const satisfies Record<string, ReasonInfo>;

/** Why the gateway did not append a message it received. */
export const droppedReasons = {
  qos0_over_cap: { intended: false, text: 'QoS 0 while the cap on held messages is reached' },
  not_appendable: { intended: false, text: 'the bus refuses the record for good; it is in the DLQ' },
} as const satisfies Record<string, ReasonInfo>;

interface ReasonInfo {
  readonly intended: boolean;
  readonly text: string;
}

export type DeadLetterReason = keyof typeof deadLetterReasons;
export type IgnoredReason = keyof typeof ignoredReasons;
export type RejectedReason = keyof typeof rejectedReasons;
export type NotWindowedReason = keyof typeof notWindowedReasons;
export type DroppedReason = keyof typeof droppedReasons;
