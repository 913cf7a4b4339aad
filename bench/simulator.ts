/**
 * What the simulator itself can do: messages per second over 100 connections, and the memory of 10,000 devices, each run
 * as the program `sluice simulate` against a broker. The broker's CPU is printed beside, as it may be what limits.
 */
import { execFile } from 'node:child_process';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { type Mosquitto, startMosquitto } from '../test/support/mosquitto.ts';
import { cpuSeconds } from './cpu.ts';

const cases: Readonly<Record<string, readonly string[]>> = {
  qos0: ['-c', '100', '--rate', '60000', '-q', '0'],
  qos1: ['-c', '100', '--rate', '36000', '-q', '1'],
  qos2: ['-c', '100', '--rate', '15000', '-q', '2'],
  fleet: ['-c', '10000', '--rate', '2000', '-R', '1000', '-q', '1'],
};

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '15' },
    broker: { type: 'string' },
    pin: { type: 'boolean', default: false },
    built: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help || (flags.only !== undefined && !Object.hasOwn(cases, flags.only))) {
  console.log(`node bench/simulator.ts [--only ${Object.keys(cases).join('|')}] [--seconds N] [--broker URL] [--pin] [--built] [--json]
${Object.entries(cases)
  .map(([name, args]) => `  ${name.padEnd(14)} sluice simulate ${args.join(' ')}`)
  .join('\n')}
  --seconds N    how long each sends (15)
  --broker URL   against this one; default: a Mosquitto is started (apt-get install mosquitto)
  --pin          the simulator on the first core alone, by taskset
  --built        what is published, made by \`npm run build\` before: without the compiler of a checkout, 30 MB less
  --json         print JSON`);
  process.exit(flags.help ? 0 : 2);
}

/** As `bin/sluice.js` starts it. */
const program = flags.built
  ? ['--max-semi-space-size=16', join(import.meta.dirname, '../dist/sluice.js')]
  : [join(import.meta.dirname, '../bin/sluice.js')];

async function measure(args: readonly string[], broker: string, mosquitto: Mosquitto | null) {
  const command = [process.execPath, ...program, 'simulate', ...args, '--broker', broker];
  const run = ['--duration', `${flags.seconds}s`, '--json', '--assert', 'sent>0'];
  const [first, ...rest] = [...(flags.pin ? ['taskset', '-c', '0'] : []), ...command, ...run];
  const brokerBefore = mosquitto === null ? 0 : cpuSeconds(mosquitto.pid);
  const { stdout } = await promisify(execFile)(first!, rest, { maxBuffer: 64 * 1024 * 1024 });
  const report = JSON.parse(stdout);
  const { sentPerSecond, sent, skipped, unacknowledged, seconds, cpuUsPerMessage, peakMemoryMb } = report;
  return {
    sentPerSecond,
    skipped,
    unacknowledged,
    everConnected: report.everConnected,
    lagMs: pick(report.sendLagMs),
    pubackMs: pick(report.ackMs),
    connectMs: pick(report.connectMs),
    cpuUsPerMessage,
    cores: Math.round((cpuUsPerMessage * sent) / seconds / 10_000) / 100,
    brokerCpuUsPerMessage:
      mosquitto === null ? null : Math.round(((cpuSeconds(mosquitto.pid) - brokerBefore) / sent) * 1e7) / 10,
    peakMemoryMb,
  };
}

function pick(quantiles: { p50: number; p99: number; max: number } | null): string | null {
  return quantiles && `p50 ${quantiles.p50} p99 ${quantiles.p99} max ${quantiles.max}`;
}

const results: Record<string, object> = {};
for (const [name, args] of Object.entries(cases)) {
  if (flags.only !== undefined && flags.only !== name) continue;
  const mosquitto = flags.broker === undefined ? await startMosquitto() : null;
  try {
    results[name] = await measure(args, flags.broker ?? `mqtt://127.0.0.1:${mosquitto!.port}`, mosquitto);
    if (!flags.json) console.log(name, results[name]);
  } finally {
    await mosquitto?.close();
  }
}
const machine = {
  node: process.version,
  platform: `${platform()} ${arch()}`,
  cpu: cpus()[0]?.model,
  cores: cpus().length,
};
console.log(flags.json ? JSON.stringify({ machine, results }, null, 2) : machine);
