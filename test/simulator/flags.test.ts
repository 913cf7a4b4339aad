/** The flags of `sluice simulate` and `replay`: what each changes, and what is wrong with the others. */
import { describe, expect, test } from 'vitest';
import type { Flags } from '../../cli/simulate/connection-flags.ts';
import { readSimulateFlags } from '../../cli/simulate/flags.ts';
import { readReplayFlags } from '../../cli/simulate/replay.ts';
import { type DeviceIdentity, identities } from '../../simulator/fleet.ts';
import { type Certificate, type Credentials, defaultSimulatorOptions as defaults } from '../../simulator/options.ts';
import { shippedScenario } from '../../simulator/scenario/shipped.ts';

const { scenario: quickstart } = shippedScenario('quickstart');
const [rooms] = quickstart.fleets;

const around = (
  env: Record<string, string> = {},
  readFile: (path: string) => Buffer = (path) => Buffer.from(`from ${path}\n`),
) => ({
  env,
  readFile,
});
const read = (flags: Flags, env?: Record<string, string>, scenario = quickstart) =>
  readSimulateFlags(flags, scenario, around(env));
const optionsOf = (flags: Flags, env?: Record<string, string>) => read(flags, env).options;

function problemsOf(reading: () => unknown): string {
  try {
    reading();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

test('none: the fleet of npm start', () => {
  expect(read({})).toEqual({
    options: { ...defaults, scenario: 'quickstart', fleets: [rooms] },
    reporting: { assert: [] },
    warnings: [],
  });
});

test('each changes what it says', () => {
  const flags = {
    broker: 'mqtts://broker.example:8883',
    ca: 'ca.pem',
    cert: 'cert.pem',
    key: 'key.pem',
    insecure: true,
    devices: '40',
    sites: 'a, b',
    rate: '80',
    jitter: '0',
    qos: '2',
    topic: 'x/{device}',
    clientId: '{site}-{device}',
    clean: false,
    willTopic: '{site}/{device}/lost',
    willPayload: 'gone',
    willQos: '1',
    willRetain: true,
    format: 'json-nested',
    faults: 'drop=1%,spike=0.5%',
    seed: '9',
    duration: '1m',
    limit: '77',
    connrate: '5',
    backfill: '7d',
    speed: '60x',
    keepalive: '7',
    inflight: '8',
    buffer: '9',
    drain: '3s',
    username: 'u',
    password: 'p',
  };
  expect(optionsOf(flags)).toEqual({
    ...defaults,
    scenario: 'quickstart',
    fleets: [{ ...rooms, count: 40, sites: ['a', 'b'], intervalMs: 500, jitter: 0 }],
    broker: 'mqtts://broker.example:8883',
    tls: {
      ca: Buffer.from('from ca.pem\n'),
      certificate: { cert: Buffer.from('from cert.pem\n'), key: Buffer.from('from key.pem\n') },
      insecure: true,
    },
    qos: 2,
    topic: 'x/{device}',
    clientId: '{site}-{device}',
    clean: false,
    will: { topic: '{site}/{device}/lost', payload: 'gone', qos: 1, retain: true },
    format: 'json-nested',
    faults: [
      expect.objectContaining({ fault: 'network.loss', probability: 0.01 }),
      expect.objectContaining({ fault: 'sensor.spike', probability: 0.005 }),
    ],
    seed: 9,
    durationMs: 60_000,
    limit: 77,
    connectRate: 5,
    backfillMs: 7 * 86_400_000,
    speed: 60,
    keepaliveSeconds: 7,
    maxInFlight: 8,
    maxHeld: 9,
    drainMs: 3000,
    credentials: { username: 'u', password: 'p' },
  });
  expect(optionsOf({ interval: '250' }).fleets[0]!.intervalMs).toBe(250);
  expect(optionsOf({ devices: '100', rampUp: '20s' }).connectRate).toBe(5);
  expect(optionsOf({ clean: false }).clientId).toBe('{device}');
});

test('a speed alone begins so far back that the run ends now', () => {
  expect(optionsOf({ speed: '60x', duration: '10m' })).toMatchObject({ speed: 60, backfillMs: 59 * 600_000 });
  expect(optionsOf({ backfill: '1h' })).toMatchObject({ speed: Number.POSITIVE_INFINITY, backfillMs: 3_600_000 });
});

test('user and password from the environment, or from files; flags win', () => {
  const env = { SLUICE_MQTT_USERNAME: 'me', SLUICE_MQTT_PASSWORD_FILE: '/run/password' };
  expect(optionsOf({}, env).credentials).toEqual({ username: 'me', password: 'from /run/password' });
  expect(optionsOf({ username: 'you', password: 'x' }, env).credentials).toMatchObject({ username: 'you' });
});

const [room] = identities(rooms!);

test('each device its own user', () => {
  const line = { site: room!.site, device: room!.device, user: 'me', password: 'secret' };
  const file = (lines: readonly object[]) => Buffer.from(lines.map((one) => `${JSON.stringify(one)}\n`).join(''));
  const readOwn = (content: Buffer, env = {}) =>
    readSimulateFlags(
      { credentials: 'own.ndjson' },
      quickstart,
      around(env, () => content),
    ).options.credentials;
  const credentials = readOwn(file([line])) as (device: DeviceIdentity) => Credentials;
  expect(credentials(room!)).toEqual({ username: 'me', password: 'secret' });
  expect(() => credentials({ ...room!, device: 'other' })).toThrow(
    `own.ndjson has no user for ${room!.site}/other: \`sluice users import\` makes one`,
  );
  const { password: _hidden, ...incomplete } = line;
  expect(() => readOwn(file([line, incomplete]))).toThrow('--credentials: own.ndjson cannot be used (line 2: password');
  expect(problemsOf(() => readOwn(Buffer.from('{"password":"secret"')))).not.toContain('secret"');
  const env = { SLUICE_MQTT_USERNAME: 'all', SLUICE_MQTT_PASSWORD: 'x' };
  expect(() => readOwn(file([line]), env)).toThrow('--credentials and a user for all');
});

test('each device its own certificate', () => {
  const files = { cert: '{site}/{device}.crt', key: '{site}/{device}.key' };
  const certificate = optionsOf({ broker: 'mqtts://broker', ...files }).tls!.certificate as (
    device: DeviceIdentity,
  ) => Certificate;
  const name = `${room!.site}/${room!.device}`;
  expect(certificate(room!)).toEqual({
    cert: Buffer.from(`from ${name}.crt\n`),
    key: Buffer.from(`from ${name}.key\n`),
  });
});

test('a wrong password needs a user: without one that fault is left out, and it is said', () => {
  const { scenario: chaos } = shippedScenario('chaos');
  const without = read({}, {}, chaos);
  expect(without.warnings).toHaveLength(1);
  expect(without.options.faults).toHaveLength(chaos.faults.length - 1);
  const all = read({ username: 'u', password: 'p' }, {}, chaos);
  expect(all).toMatchObject({ warnings: [], options: { faults: chaos.faults } });
});

describe('all errors come at once, each with its flag', () => {
  test('of single flags', () => {
    const flags = {
      broker: 'mqtt://me:secret@broker',
      devices: 'many',
      interval: 'soon',
      rate: '-1',
      jitter: '2',
      qos: '3',
      topic: 'iot/#/{device}',
      clientId: 'same-for-all',
      format: 'sparkplug',
      faults: 'drop=1%,warp=2%',
      speed: 'fast',
      rampUp: 'slowly',
      willTopic: 'lost/+/{device}',
      username: 'me',
    };
    const message = problemsOf(() =>
      readSimulateFlags(flags, quickstart, {
        env: { SLUICE_MQTT_PASSWORD_FILE: '/nowhere' },
        readFile: () => {
          throw new Error('no such file');
        },
      }),
    );
    const named = ['broker', 'devices', 'interval', 'rate', 'jitter', 'qos', 'topic', 'client-id', 'format', 'faults'];
    for (const flag of [...named, 'speed', 'ramp-up', 'will-topic']) expect(message).toContain(`\n  --${flag}: `);
    expect(message).toContain('SLUICE_MQTT_PASSWORD_FILE: /nowhere cannot be read');
    expect(message).toContain('need each other');
    expect(message).not.toContain('secret');
  });

  test('of flags that do not go together', () => {
    const message = problemsOf(() =>
      read({
        rate: '10',
        interval: '1s',
        connrate: '1',
        rampUp: '1s',
        speed: '2x',
        cert: 'cert.pem',
        clean: false,
        clientId: '{device}-{run}',
        willPayload: 'gone',
      }),
    );
    for (const expected of [
      '--rate and --interval: give one of them',
      '--connrate and --ramp-up: give one of them',
      '--speed needs --backfill or --duration',
      '--cert and --key need each other',
      '--ca, --cert, --key and --insecure are for TLS',
      '--client-id: with --no-clean it must be the same in every run',
      '--will-payload, --will-qos and --will-retain need --will-topic',
    ]) {
      expect(message).toContain(`\n  ${expected}`);
    }
    expect(() => read({ devices: '2', rate: '2001' })).toThrow('2001 messages per second: a device sends 1000 at most');
    expect(() => read({ broker: 'nonsense' })).toThrow('--broker: expected mqtt://host:port');
    expect(() => read({ broker: 'mqtts://b', ca: 'x' })).not.toThrow();
  });

  test('of a file for TLS', () => {
    const readFile = () => {
      throw new Error('ENOENT');
    };
    const flags = { broker: 'mqtts://broker', ca: 'missing.pem' };
    expect(() => readSimulateFlags(flags, quickstart, { env: {}, readFile })).toThrow(
      '--ca: missing.pem cannot be read (ENOENT)',
    );
  });
});

describe('replay', () => {
  const readReplay = (flags: Flags) => readReplayFlags(flags, around());

  test('none: columns device, site and time; two devices of one name at two sites have two client ids', () => {
    expect(readReplay({})).toMatchObject({
      mapping: { device: 'device', site: 'site', defaultSite: 'replay', time: 'time', timeUnitMs: 1, fields: null },
      speed: 1,
      keepsTimes: false,
      options: { fleets: [], faults: [], clientId: '{site}-{device}', format: 'json' },
    });
  });

  test('each changes what it says', () => {
    const flags = {
      deviceColumn: 'sensor',
      siteColumn: 'plant',
      site: 'lab',
      timeColumn: 'at',
      timeUnit: 'us',
      fields: 'temp=temperature, hum',
      speed: 'max',
      keepTimes: true,
      format: 'json-nested',
      connrate: '7',
      qos: '0',
    };
    expect(readReplay(flags)).toMatchObject({
      mapping: {
        device: 'sensor',
        site: 'plant',
        defaultSite: 'lab',
        time: 'at',
        timeUnitMs: 0.001,
        fields: new Map([
          ['temp', 'temperature'],
          ['hum', 'hum'],
        ]),
      },
      speed: Number.POSITIVE_INFINITY,
      keepsTimes: true,
      options: { format: 'json-nested', connectRate: 7, qos: 0 },
    });
    expect(readReplay({ speed: '0.5x' }).speed).toBe(0.5);
  });

  test('all errors at once', () => {
    const message = problemsOf(() => readReplay({ speed: '0x', timeUnit: 'h', fields: 'a,,b', qos: '4', site: 'a/b' }));
    for (const flag of ['speed', 'time-unit', 'fields', 'qos', 'site']) expect(message).toContain(`\n  --${flag}: `);
    expect(() => readReplay({ speed: 'max' })).toThrow('--speed max needs --keep-times');
  });
});
