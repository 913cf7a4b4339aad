import { type DestinationStream, pino } from 'pino';
import { default as pretty } from 'pino-pretty';
import type { Config } from '../core/config-schema.ts';
import type { Logger } from '../core/log.ts';

/** Logs go to standard error: standard output belongs to what a command was asked to print. */
export function makeLogger(settings: Config['log']): Logger {
  const people = settings.format === 'pretty' || (settings.format === 'auto' && process.stderr.isTTY);
  const destination: DestinationStream = people
    ? pretty({
        destination: 2,
        sync: true,
        // One line each, also with `error`, which is a text here.
        singleLine: true,
        errorLikeObjectKeys: [],
        ignore: 'pid,hostname',
        translateTime: 'SYS:HH:MM:ss.l',
      })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level: settings.level }, destination);
}
