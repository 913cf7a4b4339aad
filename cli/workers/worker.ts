/** One of the workers of `sluice gateway`: a gateway without an HTTP address of its own. Its primary asks for it, and ends it. */
import cluster, { type Worker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { Config } from '../../core/config-schema.ts';
import type { Pipeline } from '../../pipeline.ts';
import { endOfRun } from '../end-of-run.ts';
import { makeLogger } from '../logger.ts';
import { openPipeline } from '../run.ts';
import type { Answers, Question, ToPrimary, ToWorker } from './messages.ts';
import { Upgrades } from './upgrades.ts';
import { workerVariable } from './workers.ts';

export async function runWorker(config: Config): Promise<void> {
  const number = Number(process.env[workerVariable]);
  const log = makeLogger(config.log).child({ worker: number });
  const roles = { gateway: true, processor: false, page: false };
  const pipeline = openPipeline(config, roles, log, number);
  const primary = cluster.worker!;
  const upgrades = new Upgrades((request, head) => pipeline.gateway!.upgrade(request, head));
  const say = (message: ToPrimary) => void primary.send(message, () => {});
  // A terminal sends it to all processes of a group, and the primary says what is to be done.
  process.on('SIGINT', () => {});
  const ended = Promise.race([
    endOfRun(log, { failed: pipeline.failed, signals: ['SIGTERM'] }),
    drainOf(primary, (message, socket) => {
      if (message.type === 'ask') void answer(pipeline, message.question).then((given) => say(given));
      else if (message.type === 'upgrade') upgrades.add(message, socket);
      else if (message.type === 'released') upgrades.released(message.number);
    }),
  ]);
  await Promise.race([pipeline.start(), ended]);
  if (pipeline.isStarted) {
    const gateway = pipeline.gateway!;
    log.info({ instance: gateway.status().instance }, 'the worker takes clients');
    say({ type: 'started', mqtt: gateway.address(), tls: gateway.tlsAddress() });
  }
  const failure = await ended;
  await pipeline.close();
  if (failure !== null) throw failure;
  // As in `run.ts`.
  process.exit();
}

/** Resolves when the primary says so, or is gone: then what is held is made durable and acknowledged all the same. */
function drainOf(primary: Worker, onOther: (message: ToWorker, socket?: Socket) => void): Promise<null> {
  return new Promise((resolve) => {
    primary.on('message', (message: ToWorker, socket?: Socket) => {
      if (message.type === 'drain') resolve(null);
      else onOther(message, socket);
    });
    primary.once('disconnect', () => {
      // Else Node ends a worker whose primary is gone at once.
      primary.exitedAfterDisconnect = true;
      resolve(null);
    });
  });
}

async function answer({ web }: Pipeline, question: Question): Promise<ToPrimary> {
  const answers: { [Q in Question]: () => Answers[Q] | Promise<Answers[Q]> } = {
    alive: () => true,
    readiness: () => web.readiness(),
    metrics: () => web.metrics(),
  };
  return { type: 'answer', question, answer: await answers[question]() };
}
