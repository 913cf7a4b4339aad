import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that was free a moment ago: for a process that has to be told its port, or must come back at the same one. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
