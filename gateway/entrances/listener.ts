/** A TCP port of the gateway. Connections come paused: nothing of them is read before they are let in. */
import { once } from 'node:events';
import { createServer, type DropArgument, type Server, type Socket } from 'node:net';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Closed } from '../closed.ts';

export interface ListenerContext {
  /** What is spoken there, and the variable that names another port: for messages. */
  readonly what: string;
  readonly variable: string;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly maxConnections: number;
  readonly onSocket: (socket: Socket) => void;
  readonly closed: Closed;
  readonly log: Logger;
}

/** So that a peer that vanished is noticed though it asked for no keepalive. */
const tcpKeepaliveMs = 60_000;
/** What a socket that is not read keeps of its client, beside one read of at most 64 KiB; and of answers that are not read. */
export const socketBufferBytes = 16 * 1024;

/** Connections that the system keeps until we take them: more have to try again after a second. A fleet comes at once. */
const backlog = 4096;

/** Rejects with LISTEN_FAILED when the address is taken. */
export async function listen(context: ListenerContext): Promise<Server> {
  const { what, variable, host, port, maxConnections, onSocket, closed, log } = context;
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs };
  const tcp = { noDelay: true, ...keepAlive, highWaterMark: socketBufferBytes, pauseOnConnect: true };
  const server = createServer(tcp, onSocket);
  // A worker of a cluster would else offer the connection to the next one, and that again.
  Object.assign(server, { maxConnections, dropMaxConnection: true });
  server.on('drop', (drop?: DropArgument) => closed.add('too_many_connections', { address: drop?.remoteAddress }));
  try {
    server.listen({ port, host, backlog });
    await once(server, 'listening');
  } catch (error) {
    const fix = `stop what uses it, or choose another with ${variable}`;
    throw new SluiceError('LISTEN_FAILED', `${what} cannot listen on ${host}:${port} (${messageOf(error)}): ${fix}`, {
      cause: error,
    });
  }
  server.on('error', (error) => log.error({ error: error.message }, `the server of ${what} failed`));
  return server;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Throws when it does not listen. */
export function addressOf(server: Server | null): Address {
  const address = server?.address() ?? null;
  if (address === null || typeof address !== 'object') {
    throw new Error('the gateway does not listen');
  }
  return { host: address.address, port: address.port };
}
