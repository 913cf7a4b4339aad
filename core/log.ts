/**
 * What the parts log to; pino fits it as it is. Levels follow the consequence for data: `warn` = nothing is lost, we
 * recover; `error` = data may be lost or an operator is needed. Nothing is logged per message.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: Record<string, unknown>): Logger;
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
