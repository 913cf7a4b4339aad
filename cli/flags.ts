import { Option } from 'commander';

/** The flags that every role takes: the settings people change most. All others are in `sluice.yaml`. */
export interface CommonFlags {
  readonly config?: string;
  readonly host?: string;
  readonly mqttPort?: string;
  readonly httpPort?: string;
  readonly dataDir?: string;
  readonly rules?: string;
  readonly kafkaBrokers?: string;
  readonly influxUrl?: string;
  readonly insecure?: boolean;
  readonly logLevel?: string;
  /** Of `sluice gateway` alone. */
  readonly workers?: string;
}

export const commonFlags: readonly Option[] = [
  new Option('--config <file>', 'configuration file (default: sluice.yaml, if there is one)'),
  new Option('--host <address>', 'address to listen on'),
  new Option('--mqtt-port <port>', 'MQTT port; 0 picks a free one'),
  new Option('--http-port <port>', 'HTTP port; 0 picks a free one'),
  new Option('--data-dir <folder>', 'folder of the embedded bus and store'),
  new Option('--rules <file>', 'alert rules (default: rules.yaml, if there is one)'),
  new Option('--kafka-brokers <list>', 'host:port,… of Kafka; without it the bus is embedded'),
  new Option('--influx-url <url>', 'InfluxDB 2; without it the store is embedded'),
  new Option('--insecure', 'allow MQTT without credentials off the loopback address'),
  new Option('--log-level <level>', 'debug, info, warn, error or silent'),
];

/** Path in the configuration → value of its flag. */
export function flagValues(flags: CommonFlags): Record<string, unknown> {
  return {
    host: flags.host,
    'mqtt.port': flags.mqttPort,
    httpPort: flags.httpPort,
    dataDir: flags.dataDir,
    rules: flags.rules,
    'kafka.brokers': flags.kafkaBrokers,
    'influx.url': flags.influxUrl,
    insecure: flags.insecure,
    'log.level': flags.logLevel,
    'gateway.workers': flags.workers,
  };
}
