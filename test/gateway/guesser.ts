/** Guesses passwords as a process of its own: so many a second from one address, each on a new connection. */
import { connect } from 'node:net';
import { connectPacket } from './raw-client.ts';

const [port, localAddress, perSecond] = process.argv.slice(2);
const everyMs = 10;
let guesses = 0;
let answered = 0;

function guess(): void {
  const credentials = { username: 'pump1', password: `guessed-secret-${guesses++}` };
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: localAddress! });
  socket.on('connect', () => socket.write(connectPacket({ clientId: 'guesser', credentials })));
  socket.on('data', () => {
    answered++;
    socket.destroy();
  });
  socket.on('error', () => {});
}

const startMs = performance.now();
const timer = setInterval(() => {
  const due = ((performance.now() - startMs) / 1000) * Number(perSecond);
  while (guesses < due) guess();
}, everyMs);
process.on('SIGTERM', () => {
  clearInterval(timer);
  process.send!({ guesses, answered }, () => process.exit());
});
process.send!('started');
