import type { Socket } from 'node:net';

/** Refuses a request to upgrade the connection, such as with `503 Service Unavailable`. */
export function answer(socket: Socket, status: string): void {
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
