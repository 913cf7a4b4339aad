/** A thread of the embedded bus: all SQL runs here, so that an fsync never stops the event loop of the process. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadOptions } from './protocol.ts';
import { runReader } from './reader.ts';
import { runWriter } from './writer.ts';

if (parentPort === null) throw new Error('worker.ts runs as a thread of the embedded bus only');
const options = workerData as ThreadOptions;
if (options.role === 'writer') runWriter(parentPort, options);
else runReader(parentPort, options);
