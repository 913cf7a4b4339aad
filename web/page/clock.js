/**
 * The server's clock as the page knows it: ages on the page are right even where the clock of the reader's machine is not.
 */
let aheadMs = 0;

/** @param {number} atMs the time of an overview that just arrived */
export function hearServerTime(atMs) {
  aheadMs = atMs - Date.now();
}

/** Milliseconds since the epoch on the server's clock. */
export const nowMs = () => Date.now() + aheadMs;
