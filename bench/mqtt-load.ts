/**
 * Load over MQTT: QoS 1 messages on raw sockets, each packet a patched copy of one made before, so that the generator
 * costs little beside what it loads. Prints `{acked, seconds, p50Ms, p99Ms}`; the times are from when a message was due
 * to its PUBACK.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    connections: { type: 'string', default: '100' },
    inflight: { type: 'string', default: '10' },
    messages: { type: 'string', default: '100000' },
    rate: { type: 'string' },
    name: { type: 'string', default: 'load' },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help || flags.port === undefined) {
  console.log(`node bench/mqtt-load.ts --port P [--host H] [--connections N] [--inflight N] [--messages N] [--rate R] [--name TEXT]
  --connections N   devices, one connection each (100)
  --inflight N      the most messages of a connection without a PUBACK (10)
  --messages N      messages of all connections together (100000)
  --rate R          messages per second, one packet per segment, the connections in turn; default: as fast as they are acknowledged
  --name TEXT       what the names of its devices begin with (load)`);
  process.exit(flags.help ? 0 : 2);
}

const port = Number(flags.port);
const inflight = Number(flags.inflight);
const messages = Number(flags.messages);
const rate = flags.rate === undefined ? null : Number(flags.rate);
const stalledAfterMs = 60_000;

const latenciesMs = new Float32Array(messages);
let [due, acked] = [0, 0];
let lastAckAtMs = performance.now();
const done = Promise.withResolvers<void>();

/** Text of one width each, to be patched in place. */
const firstSeq = 1_000_000;
const seqDigits = 7;
const tsDigits = 13;

class Device {
  readonly #socket: Socket;
  readonly #packet: Buffer;
  readonly #idAt: number;
  readonly #tsAt: number;
  readonly #seqAt: number;
  /** When each message that is under way was due, by packet identifier. */
  readonly #dueAtMs = new Map<number, number>();
  /** When those were due that wait for the window. */
  readonly #waiting: number[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #sent = 0;

  constructor(socket: Socket, name: string) {
    this.#socket = socket;
    const topic = `iot/bench/${name}/telemetry`;
    const payload = `{"ts":${'0'.repeat(tsDigits)},"seq":${firstSeq},"temperature":21.5,"humidity":40.25}`;
    const body = Buffer.concat([text(topic), Buffer.alloc(2), Buffer.from(payload)]);
    this.#packet = packet(0x32, body);
    const start = this.#packet.length - payload.length;
    this.#idAt = start - 2;
    this.#tsAt = start + payload.indexOf('0');
    this.#seqAt = start + payload.indexOf(String(firstSeq));
    socket.on('data', (chunk) => this.#read(chunk));
  }

  /** Sends as many as the window allows, in one write. */
  fill(): void {
    const packets: Buffer[] = [];
    while (this.#dueAtMs.size < inflight && due < messages) {
      due++;
      packets.push(this.#next(performance.now()));
    }
    if (packets.length > 0) this.#socket.write(Buffer.concat(packets));
  }

  /** Sends one that was due at `dueAtMs`, or keeps it until the window allows it. */
  send(dueAtMs: number): void {
    if (this.#dueAtMs.size < inflight) this.#socket.write(this.#next(dueAtMs));
    else this.#waiting.push(dueAtMs);
  }

  #next(dueAtMs: number): Buffer {
    const copy = Buffer.from(this.#packet);
    const id = (this.#sent % 65_535) + 1;
    copy.writeUInt16BE(id, this.#idAt);
    copy.write(String(Date.now()), this.#tsAt, tsDigits, 'latin1');
    copy.write(String(firstSeq + this.#sent), this.#seqAt, seqDigits, 'latin1');
    this.#sent++;
    this.#dueAtMs.set(id, dueAtMs);
    return copy;
  }

  /** Every packet that comes now is a PUBACK: four bytes. */
  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const nowMs = performance.now();
    lastAckAtMs = nowMs;
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      if (bytes[at] !== 0x40) throw new Error(`not a PUBACK: ${bytes.subarray(at, at + 4).toString('hex')}`);
      const id = bytes.readUInt16BE(at + 2);
      const dueAtMs = this.#dueAtMs.get(id);
      if (dueAtMs === undefined) throw new Error(`a PUBACK for nothing that was sent: ${id}`);
      this.#dueAtMs.delete(id);
      latenciesMs[acked++] = nowMs - dueAtMs;
    }
    this.#rest = bytes.subarray(at);
    if (acked === messages) done.resolve();
    else if (rate === null) this.fill();
    else while (this.#waiting.length > 0 && this.#dueAtMs.size < inflight) this.send(this.#waiting.shift()!);
  }
}

async function connectDevice(name: string): Promise<Device> {
  const socket = connect({ port, host: flags.host, noDelay: true });
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => fail('a connection was closed'));
  await once(socket, 'connect');
  const keepaliveSeconds = 600;
  const body = [text('MQTT'), Buffer.from([4, 2, keepaliveSeconds >> 8, keepaliveSeconds & 0xff]), text(name)];
  socket.write(packet(0x10, Buffer.concat(body)));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (answer[0] !== 0x20 || answer[3] !== 0) fail(`the connection was refused: ${answer.toString('hex')}`);
  return new Device(socket, name);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(type: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
  }
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

function fail(message: string): void {
  if (acked === messages) return;
  console.error(`mqtt-load: ${message}, after ${acked} of ${messages} messages were acknowledged`);
  process.exit(1);
}

const devices: Device[] = [];
for (let i = 0; i < Number(flags.connections); i++) devices.push(await connectDevice(`${flags.name}${i}`));
setInterval(() => {
  if (performance.now() - lastAckAtMs > stalledAfterMs) fail(`nothing was acknowledged for ${stalledAfterMs} ms`);
}, 1_000).unref();

const startedAtMs = performance.now();
lastAckAtMs = startedAtMs;
if (rate === null) for (const device of devices) device.fill();
else setInterval(() => sendDue(rate), 1);

function sendDue(perSecond: number): void {
  const until = Math.min(messages, Math.floor(((performance.now() - startedAtMs) / 1000) * perSecond));
  for (; due < until; due++) devices[due % devices.length]!.send(startedAtMs + (due / perSecond) * 1000);
}

await done.promise;
const seconds = (performance.now() - startedAtMs) / 1000;
latenciesMs.sort();
const quantile = (q: number) => Math.round(latenciesMs[Math.floor((messages - 1) * q)]! * 10) / 10;
console.log(JSON.stringify({ acked, seconds, p50Ms: quantile(0.5), p99Ms: quantile(0.99) }));
process.exit(0);
