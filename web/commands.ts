/**
 * `POST /api/devices/{site}/{device}/commands`: puts a command for a device on the bus, and answers when the bus has it
 * durably. `GET …/commands/{id}`: what became of it. The gateway that holds the device delivers it.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { isCommandId, longestExpiryMs, nowOrNeverMs } from '../core/commands.ts';
import { isSluiceError } from '../core/errors.ts';
import { deviceKey } from '../core/reading.ts';
import { headers, type TopicNames } from '../core/topics.ts';
import type { CommandState } from './api.ts';
import type { CommandStates } from './command-states.ts';
import { HttpFailure } from './failure.ts';
import { checkDoer, type Doer } from './guard.ts';

const defaultExpiryMs = 30_000;
/** Fixed header, length of the topic, packet id (MQTT 3.1.1 §3.3). */
const packetOverheadBytes = 9;

/** What is configured. */
export interface CommandsOptions extends Doer {
  /** The longest packet of MQTT. */
  readonly maxPacketBytes: number;
}

export interface CommandsContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  readonly states: CommandStates;
  readonly options: CommandsOptions;
  readonly clock: Clock;
}

/** One level of a topic, as `site/device` is made of two. */
const level = z
  .string()
  .min(1, 'is empty')
  .max(128, 'is longer than 128')
  .regex(/^[^/+#\p{Cc}]*$/u, 'has a character that no topic of a device has: /, +, # or a control character');
const id = z.string().refine(isCommandId, 'is not 1 to 64 of A–Z a–z 0–9 . _ ~ -');
const place = { site: level, device: level };

const body = z
  .strictObject({
    payload: z.unknown().optional(),
    payloadText: z.string('is not text').optional(),
    payloadBase64: z.base64('is not base64').optional(),
    expiresInMs: z
      .int('is not a whole number of milliseconds')
      .min(0, 'is less than 0')
      .max(longestExpiryMs, `is more than ${longestExpiryMs}, a day`)
      .default(defaultExpiryMs),
    id: id.optional(),
  })
  .refine((given) => ['payload', 'payloadText', 'payloadBase64'].filter((name) => name in given).length === 1, {
    error: 'give one of payload (any JSON), payloadText and payloadBase64',
  });
type Body = z.output<typeof body>;

export function serveCommands(http: FastifyInstance, context: CommandsContext): void {
  const { states, options } = context;
  const path = '/api/devices/:site/:device/commands';
  http.addHook('onRequest', async (request, reply) => {
    if (options.token !== null) reply.header('www-authenticate', 'Bearer');
    checkDoer(request.headers, options);
    // A form of another page can be sent without asking; JSON cannot.
    const isJson = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() === 'application/json';
    if (request.method === 'POST' && !isJson) {
      throw new HttpFailure(415, 'NOT_JSON', 'send JSON: Content-Type: application/json');
    }
    await states.ready().catch(asFailure);
  });

  // Base64 and the names around it.
  http.post(path, { bodyLimit: 2 * options.maxPacketBytes }, async (request, reply) => {
    const to = parse(z.strictObject(place), request.params);
    const state = await send(context, to, parse(body, request.body));
    return reply
      .code(202)
      .header('location', `${request.url.split('?')[0]}/${state.id}`)
      .send(state);
  });

  http.get(`${path}/:id`, async (request): Promise<CommandState> => {
    const asked = parse(z.strictObject({ ...place, id }), request.params);
    const state = states.get(asked.site, asked.device, asked.id);
    if (state !== null) return state;
    throw new HttpFailure(404, 'UNKNOWN_COMMAND', `no command ${asked.id} to ${asked.site}/${asked.device} is known`);
  });
}

/** Idempotent where the caller gives the id: then of several the first counts. */
async function send(
  context: CommandsContext,
  to: { site: string; device: string },
  given: Body,
): Promise<CommandState> {
  const { bus, topics, states, clock } = context;
  const commandId = given.id ?? randomUUID();
  const known = states.get(to.site, to.device, commandId);
  if (known !== null) return known;
  const payload = payloadOf(given);
  checkSize(to, payload, context.options.maxPacketBytes);
  const requestedAtMs = clock.nowMs();
  const expiresAtMs = requestedAtMs + (given.expiresInMs || nowOrNeverMs);
  const record: NewRecord = {
    key: deviceKey(to.site, to.device),
    value: payload,
    headers: {
      [headers.commandId]: commandId,
      [headers.commandExpires]: String(expiresAtMs),
      ...(given.expiresInMs === 0 ? { [headers.commandNow]: '1' } : {}),
    },
    timestampMs: requestedAtMs,
  };
  await bus.append(topics.commands, [record]);
  states.asked({ id: commandId, ...to, state: 'pending', reason: null, requestedAtMs, expiresAtMs, atMs: null });
  return states.get(to.site, to.device, commandId)!;
}

function payloadOf({ payload, payloadText, payloadBase64 }: Body): Buffer {
  if (payloadText !== undefined) return Buffer.from(payloadText);
  if (payloadBase64 !== undefined) return Buffer.from(payloadBase64, 'base64');
  return Buffer.from(JSON.stringify(payload));
}

/** As the gateway will send it. */
function checkSize({ site, device }: { site: string; device: string }, payload: Buffer, maxPacketBytes: number): void {
  const topicBytes = Buffer.byteLength(`iot/${site}/${device}/commands`);
  const most = maxPacketBytes - packetOverheadBytes - topicBytes;
  if (payload.length <= most) return;
  throw new HttpFailure(
    413,
    'COMMAND_TOO_LARGE',
    `the payload has ${payload.length} bytes, and in one packet to this device there is room for ${most} (mqtt.maxPacketBytes)`,
  );
}

/** Throws a 400 that lists everything that is wrong. */
function parse<T>(schema: z.ZodType<T>, given: unknown): T {
  const { data, error } = schema.safeParse(given);
  if (error === undefined) return data;
  const problems = error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `there is no ${issue.keys.join(', ')}`
      : [issue.path.join('.'), issue.message].filter((part) => part !== '').join(' '),
  );
  throw new HttpFailure(400, 'INVALID_COMMAND', problems.join('; '));
}

function asFailure(error: unknown): never {
  if (isSluiceError(error, 'BUS_TOPIC_MISSING')) throw new HttpFailure(503, error.code, error.message, 5);
  throw error;
}
