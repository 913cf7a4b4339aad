import { expect, test } from 'vitest';
import { configReference, resolveConfig, withoutSecrets } from '../../core/config.ts';
import { configSchema, environment } from '../../core/config-schema.ts';
import { SluiceError } from '../../core/errors.ts';

function resolve(over: Partial<Parameters<typeof resolveConfig>[0]> = {}) {
  return resolveConfig({
    env: {},
    flags: {},
    readText: (path) => {
      throw new Error(`no such file: ${path}`);
    },
    ...over,
  });
}

test('without any source the defaults are in force: embedded, on loopback', () => {
  const config = resolve();
  expect(config.host).toBe('127.0.0.1');
  expect(config.mqtt.port).toBe(1883);
  expect(config.kafka.brokers).toBeUndefined();
  expect(config.influx.url).toBeUndefined();
});

test('flags win over the environment, the environment over the file, the file over defaults', () => {
  const file = { name: 'sluice.yaml', content: { mqtt: { port: 1001, lingerMs: '7ms' }, httpPort: 1002 } };
  const config = resolve({ file, env: { SLUICE_HTTP_PORT: '2002', SLUICE_HOST: '::1' }, flags: { host: '127.0.0.2' } });
  expect(config.mqtt).toMatchObject({ port: 1001, lingerMs: 7 });
  expect(config.httpPort).toBe(2002);
  expect(config.host).toBe('127.0.0.2');
});

test('all errors come at once, each with where it comes from and its path', () => {
  const file = { name: 'my.yaml', content: { mqtt: { prot: 1 }, processing: { latenessMs: 'soon' } } };
  const error = (() => {
    try {
      resolve({ file, env: { SLUICE_HTTP_PORT: 'eighty' } });
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(SluiceError);
  const { message, code } = error as SluiceError;
  expect(code).toBe('CONFIG_INVALID');
  expect(message).toContain('3 error(s)');
  expect(message).toContain('my.yaml: unknown key mqtt.prot');
  expect(message).toContain('my.yaml: processing.latenessMs: expected milliseconds');
  expect(message).toContain('SLUICE_HTTP_PORT: httpPort');
});

test('every variable can come from a file, and setting both is refused', () => {
  const readText = (path: string) => `from ${path}\n`;
  const env = { INFLUX_URL: 'http://127.0.0.1:8086', INFLUX_TOKEN_FILE: '/run/token' };
  expect(resolve({ env, readText }).influx.token).toBe('from /run/token');
  expect(() => resolve({ env: { ...env, INFLUX_TOKEN: 'x' }, readText })).toThrow('INFLUX_TOKEN and INFLUX_TOKEN_FILE');
  expect(() => resolve({ env })).toThrow('/run/token cannot be read');
});

test('the consumer group goes with the prefix of the topics, unless it is given', () => {
  const group = (content: object, env = {}) =>
    resolve({ file: { name: 'sluice.yaml', content }, env }).processing.group;
  expect(group({})).toBe('iot.processor');
  expect(group({ topics: { prefix: 'north.' } })).toBe('north.processor');
  expect(group({ processing: { latenessMs: '1m' } }, { SLUICE_TOPIC_PREFIX: 'south.' })).toBe('south.processor');
  expect(group({ topics: { prefix: 'north.' }, processing: { group: 'mine' } })).toBe('mine');
  expect(() => group({ topics: { prefix: 'north.' }, processing: 'fast' })).toThrow('sluice.yaml: processing: ');
});

test('settings that need each other are checked', () => {
  expect(() => resolve({ env: { INFLUX_URL: 'http://127.0.0.1:8086' } })).toThrow('influx.token is missing');
  expect(() => resolve({ env: { SLUICE_MQTT_USERNAME: 'x' } })).toThrow('mqtt.password');
  expect(() => resolve({ env: { KAFKA_SASL_MECHANISM: 'plain' } })).toThrow('KAFKA_SASL');
  expect(() => resolve({ flags: { 'mqtt.maxPacketBytes': 2_000_000 } })).toThrow('mqtt.maxPacketBytes');
});

test('durations take units', () => {
  const at = (latenessMs: unknown) =>
    resolve({ file: { name: 'f', content: { processing: { latenessMs } } } }).processing.latenessMs;
  expect([at(250), at('250'), at('250ms'), at('5s'), at('10m'), at('1.5h'), at('7d')]).toEqual([
    250, 250, 250, 5000, 600_000, 5_400_000, 604_800_000,
  ]);
});

test('a broker list may be text or a list', () => {
  expect(resolve({ env: { KAFKA_BROKERS: 'a:1, b:2' } }).kafka.brokers).toEqual(['a:1', 'b:2']);
  expect(resolve({ file: { name: 'f', content: { kafka: { brokers: ['a:1'] } } } }).kafka.brokers).toEqual(['a:1']);
});

test('secrets are hidden from what is printed', () => {
  const env = {
    INFLUX_URL: 'http://127.0.0.1:8086',
    INFLUX_TOKEN: 'secret-1',
    SLUICE_MQTT_USERNAME: 'u',
    SLUICE_MQTT_PASSWORD: 'secret-2',
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'secret-3',
  };
  expect(JSON.stringify(withoutSecrets(resolve({ env })))).not.toContain('secret-');
});

test('every setting says what it means, and every variable names a setting', () => {
  const settings = configReference();
  expect(settings.filter(({ description }) => description === '').map(({ path }) => path)).toEqual([]);
  const paths = new Set(settings.map(({ path }) => path));
  expect(Object.values(environment).filter((path) => !paths.has(path))).toEqual([]);
  expect(configSchema.parse({})).toBeDefined();
});

test('a spool is for Kafka', () => {
  const env = { SLUICE_GATEWAY_SPOOL: 'true' };
  expect(() => resolve({ env })).toThrow('gateway.spool (SLUICE_GATEWAY_SPOOL) is for Kafka');
  expect(resolve({ env: { ...env, KAFKA_BROKERS: 'a:9092' } }).gateway.spool).toBe(true);
});
