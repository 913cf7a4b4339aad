/**
 * Who may have something done through HTTP, which has no users: who has the token; without one, only someone on this
 * machine, and not a web page of someone else in a browser here.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HttpFailure } from './failure.ts';

export interface Doer {
  /** `null`: there is none. */
  readonly token: string | null;
  /** HTTP listens on the loopback address alone. */
  readonly isLoopback: boolean;
}

const localHost = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/** Throws a 401 or 403 that says what is missing. */
export function checkDoer({ authorization, host, origin }: IncomingHttpHeaders, { token, isLoopback }: Doer): void {
  if (token !== null) {
    if (isSame(authorization ?? '', `Bearer ${token}`)) return;
    throw new HttpFailure(401, 'UNAUTHORIZED', 'give the token of SLUICE_COMMANDS_TOKEN: Authorization: Bearer …');
  }
  if (!isLoopback) {
    throw new HttpFailure(
      403,
      'TOKEN_NEEDED',
      'HTTP is reached from other machines, so commands need a token: set SLUICE_COMMANDS_TOKEN or SLUICE_COMMANDS_TOKEN_FILE where this page is served',
    );
  }
  // A page of another site that names itself after this machine has the name of that site in `Host` all the same.
  if (host === undefined || !localHost.test(host)) {
    throw new HttpFailure(403, 'FOREIGN_HOST', 'without a token commands are taken at localhost alone');
  }
  if (origin !== undefined && hostOf(origin) !== host) {
    throw new HttpFailure(403, 'FOREIGN_ORIGIN', 'a page of another site may not send commands');
  }
}

/** In a time that does not tell how much of it is right. */
function isSame(given: string, right: string): boolean {
  return timingSafeEqual(digest(given), digest(right));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
