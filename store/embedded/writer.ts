/** The writing thread: all writes that come while one transaction commits go into the next one. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Refusal } from '../port.ts';
import type { PointRow, WriterCalls } from './calls.ts';
import { PointTable } from './points.ts';
import { sweep } from './retention.ts';
import { openDatabase, transaction } from './schema.ts';
import { answerCalls } from './thread.ts';

interface Waiting {
  readonly rows: readonly PointRow[];
  resolve(refusals: Refusal[]): void;
  reject(error: unknown): void;
}

const database = openDatabase(workerData as string);
const points = new PointTable(database);
/** Bounded by the callers: each awaits its write. */
let waiting: Waiting[] = [];

function commitWaiting(): void {
  const group = waiting;
  waiting = [];
  try {
    const refusals = transaction(database, () => points.write(group.map(({ rows }) => rows)));
    group.forEach((write, at) => {
      write.resolve(refusals[at]!);
    });
  } catch (error) {
    points.forget();
    for (const write of group) write.reject(error);
  }
}

answerCalls<WriterCalls>(parentPort!, {
  write: (rows) =>
    new Promise((resolve, reject) => {
      waiting.push({ rows, resolve, reject });
      // Not now: the messages that have come meanwhile are delivered first, and share the commit.
      if (waiting.length === 1) setImmediate(commitWaiting);
    }),
  sweep: (cutoffs) => sweep(database, cutoffs, () => points.forget()),
  ping: () => {
    database.exec('SELECT 1 FROM series LIMIT 1');
  },
  close: () => database.close(),
});
