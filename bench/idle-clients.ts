/** MQTT clients that connect, ping, and say nothing else. Prints a line when all are connected, and stays until it is ended. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { generate } from 'mqtt-packet';

const { values: flags } = parseArgs({ options: { port: { type: 'string' }, clients: { type: 'string' } } });
const keepaliveSeconds = 60;
/** So many at once. */
const hands = 100;

async function connectClient(number: number): Promise<void> {
  const socket = connect({ port: Number(flags.port), host: '127.0.0.1' });
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => fail('a connection was closed'));
  await once(socket, 'connect');
  socket.write(generate({ cmd: 'connect', clientId: `idle${number}`, clean: true, keepalive: keepaliveSeconds }));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (answer[3] !== 0) fail(`the connection was refused: ${answer.toString('hex')}`);
  socket.resume();
  setInterval(() => socket.write(generate({ cmd: 'pingreq' })), keepaliveSeconds * 1000);
}

function fail(message: string): never {
  console.error(`idle-clients: ${message}`);
  process.exit(1);
}

let next = 0;
async function connectInTurn(): Promise<void> {
  while (next < Number(flags.clients)) await connectClient(next++);
}

await Promise.all(Array.from({ length: hands }, connectInTurn));
console.log('connected');
