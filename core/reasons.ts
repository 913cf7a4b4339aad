/**
 * The closed lists of reasons for which something does not become a stored, windowed reading, and for which a connection
 * is closed. Every one is counted, `intended` says whether that is the system working as asked (true) or something an
 * operator should look at (false). `docs/reasons.md` explains each (a test compares).
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

/** Why a command ended that was never sent. */
export const commandRefusedReasons = {
  device_full: { intended: false, text: '100 commands, or 1 MiB of them, are pending for the device' },
  partition_full: { intended: false, text: '5,000 commands, or 4 MiB of them, are pending in its partition' },
} as const satisfies Record<string, ReasonInfo>;

/** Why a device that listens on its `errors` was not told of a dead letter. */
export const untoldReasons = {
  too_many_waiting: { intended: false, text: '20 that it was told of wait for its PUBACK' },
  not_acknowledged: { intended: false, text: 'its connection ended before its PUBACK, or it acknowledges nothing' },
} as const satisfies Record<string, ReasonInfo>;

/** Why the gateway refused or ended a connection. `fix`: what to do about it. */
export const closedReasons = {
  too_many_connections: {
    intended: false,
    text: 'as many connections as `mqtt.maxConnections` are open',
    fix: 'add a gateway, or raise it',
  },
  too_many_from_address: {
    intended: false,
    text: 'as many connections as `mqtt.maxConnectionsPerAddress` are open from its address',
    fix: 'raise it where many devices share an address (NAT, a load balancer)',
  },
  connect_timeout: {
    intended: false,
    text: 'no whole CONNECT came within `mqtt.connectTimeoutMs`',
    fix: 'look who connects and says nothing; on a slow network raise it',
  },
  tls_failed: {
    intended: false,
    text: 'its TLS handshake failed: it speaks no TLS, or its certificate is missing or not of `mqtt.tls.ca`',
    fix: 'look at what the log says of it, and at the certificate and the authorities of the client',
  },
  protocol_version: {
    intended: false,
    text: 'it speaks MQTT 5 or a version there is not (CONNACK 1)',
    fix: 'let it use MQTT 3.1.1',
  },
  bad_client_id: {
    intended: false,
    text: 'its client id is over `mqtt.maxClientIdBytes`, is no text, or is empty with clean session 0 (CONNACK 2)',
    fix: 'give it another id',
  },
  bad_credentials: {
    intended: false,
    text: 'its user name, password or token is wrong (CONNACK 4)',
    fix: 'give it those of `mqtt.username` and `mqtt.password`, or of a user in `mqtt.usersFile`',
  },
  too_many_logins: {
    intended: false,
    text: 'too many logins wait, or too many from its address failed: its password was not looked at (CONNACK 3, or none)',
    fix: 'look who tries passwords from there; a fleet that comes back after a restart gets in by trying again',
  },
  keys_unavailable: {
    intended: false,
    text: 'the keys of `mqtt.jwt.jwksUrl` could not be fetched, so its token was not checked (CONNACK 3)',
    fix: 'see whether the gateway reaches that address',
  },
  client_id_taken: {
    intended: false,
    text: 'another user is connected with its client id (CONNACK 2)',
    fix: 'give each device its own id',
  },
  not_authorized: {
    intended: false,
    text: 'it published to a topic that is not its own, its will is for one, or its certificate or token names no device (CONNACK 5)',
    fix: 'let it use the topics of its site and device, or give its user rules of its own',
  },
  at_capacity: {
    intended: false,
    text: 'the gateway holds as many messages as it may (CONNACK 3)',
    fix: 'see what keeps the bus from taking them: `/readyz`',
  },
  packet_too_large: {
    intended: false,
    text: 'a packet is over `mqtt.maxPacketBytes`, or its CONNECT over `mqtt.maxConnectBytes`',
    fix: 'let it send less at once, or raise it',
  },
  malformed_packet: {
    intended: false,
    text: 'a packet is not as MQTT 3.1.1 wants it, or comes where it may not',
    fix: 'look at what the client sends',
  },
  bad_text: {
    intended: false,
    text: 'a topic or user name is not UTF-8, or has control characters or non-characters',
    fix: 'look at what the client sends',
  },
  topic_too_long: {
    intended: false,
    text: 'a topic is over `mqtt.maxTopicBytes`',
    fix: 'let it use a shorter one, or raise it',
  },
  topic_too_deep: {
    intended: false,
    text: 'a topic has more levels than `mqtt.maxTopicLevels`',
    fix: 'let it use one with fewer, or raise it',
  },
  topic_not_allowed: {
    intended: false,
    text: 'a message is for no topic, for one that begins with `$`, or for one with a wildcard',
    fix: 'let it publish to another topic',
  },
  too_many_subscriptions: {
    intended: false,
    text: 'it asked for more topics than `mqtt.maxSubscriptions`',
    fix: 'let it ask for its own two, once, or raise it',
  },
  too_many_unfinished: {
    intended: false,
    text: 'it has begun more QoS 2 messages than `mqtt.maxUnfinishedQos2PerClient`, or than its share of `mqtt.maxUnfinishedQos2`, without PUBREL',
    fix: 'let it finish them, or use QoS 1',
  },
  unfinished_packet: {
    intended: false,
    text: 'all unfinished packets together were over `mqtt.maxUnfinishedBytes`, and its had been on its way the longest',
    fix: 'look who begins packets and does not finish them, or raise it',
  },
  slow_reader: {
    intended: false,
    text: 'it did not read its acknowledgements for 5 s',
    fix: 'look at the client, or at its network',
  },
  token_expired: { intended: true, text: 'its token has ended', fix: 'nothing: it connects anew with its next one' },
  identity_revoked: {
    intended: true,
    text: 'its user was removed from `mqtt.usersFile`',
    fix: 'nothing',
  },
  keepalive_timeout: { intended: true, text: 'it was silent for one and a half times its keepalive', fix: 'nothing' },
  taken_over: {
    intended: true,
    text: 'another connection came with its client id',
    fix: 'give each device its own id',
  },
  gateway_closed: { intended: true, text: 'the gateway was closed', fix: 'nothing' },
} as const satisfies Record<string, ReasonInfo & { readonly fix: string }>;

interface ReasonInfo {
  readonly intended: boolean;
  readonly text: string;
}

export type DeadLetterReason = keyof typeof deadLetterReasons;
export type IgnoredReason = keyof typeof ignoredReasons;
export type RejectedReason = keyof typeof rejectedReasons;
export type NotWindowedReason = keyof typeof notWindowedReasons;
export type DroppedReason = keyof typeof droppedReasons;
export type ClosedReason = keyof typeof closedReasons;
export type CommandRefusedReason = keyof typeof commandRefusedReasons;
export type UntoldReason = keyof typeof untoldReasons;
