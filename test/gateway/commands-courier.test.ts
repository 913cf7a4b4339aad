/** When a command is sent, and when not any more: by a clock that the test moves. */
import { expect, it } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { Courier } from '../../gateway/commands/courier.ts';
import { type Subscriber, Subscribers } from '../../gateway/subscribers.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { commandRecord, logOf, outcomeRecord, startMs } from './commands-records.ts';

const topic = 'iot/lab/d1/commands';

function openRig() {
  const clock = new ManualClock(startMs);
  const subscribers = new Subscribers();
  const said: string[] = [];
  const say = ({ headers }: NewRecord) => void said.push(`${headers['command.id']} ${headers['command.outcome']}`);
  return { clock, subscribers, said, courier: new Courier({ instance: 'g', subscribers, say, clock }) };
}

/** A connection that is sent things, and acknowledges when the test says so. */
function connection() {
  const sent: string[] = [];
  const answers: ((isAcknowledged: boolean) => void)[] = [];
  const send = (_topic: string, payload: Buffer) => {
    sent.push(String(payload));
    return new Promise<boolean>((resolve) => answers.push(resolve));
  };
  const subscriber = { subscriptions: new Set<string>(), outbox: { send } } as unknown as Subscriber;
  return { subscriber, sent, answers };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('sends nothing before all was read: what follows may say that it has its end', async () => {
  const { courier, subscribers } = openRig();
  const { subscriber, sent } = connection();
  subscribers.add(topic, subscriber);
  courier.read(logOf([commandRecord('a'), commandRecord('b')]));
  expect(sent).toEqual([]);
  courier.read(logOf([outcomeRecord('a', 'acknowledged')]));
  courier.start();
  expect(sent).toEqual(['b']);
});

it('sends nothing from the moment on in which the time is over, whoever subscribes', async () => {
  const { clock, courier, subscribers } = openRig();
  courier.start();
  courier.read(logOf([commandRecord('a', { expiresInMs: 1000 }), commandRecord('b', { expiresInMs: 2000 })]));
  clock.advance(1000);
  const first = connection();
  subscribers.add(topic, first.subscriber);
  await turn();
  expect(first.sent).toEqual(['b']);
  clock.advance(1000);
  const second = connection();
  subscribers.add(topic, second.subscriber);
  await turn();
  expect(second.sent).toEqual([]);
});

it('sends the next one when the one before is acknowledged, and says so', async () => {
  const { courier, subscribers, said } = openRig();
  const { subscriber, sent, answers } = connection();
  courier.start();
  subscribers.add(topic, subscriber);
  courier.read(logOf([commandRecord('a'), commandRecord('b')]));
  expect(sent).toEqual(['a']);
  answers[0]!(true);
  await turn();
  expect(sent).toEqual(['a', 'b']);
  expect(said).toEqual(['a acknowledged']);
});

it('tries one whose outbox was full again, without a rush', async () => {
  const { clock, courier, subscribers } = openRig();
  const { subscriber, sent, answers } = connection();
  courier.start();
  subscribers.add(topic, subscriber);
  await turn();
  courier.read(logOf([commandRecord('a')]));
  answers[0]!(false);
  await turn();
  expect(sent).toEqual(['a']);
  clock.advance(1000);
  expect(sent).toEqual(['a', 'a']);
});

it('says once that one that was now or never is over, when its device was there', async () => {
  const { clock, courier, subscribers, said } = openRig();
  const { subscriber } = connection();
  courier.start();
  subscribers.add(topic, subscriber);
  courier.read(logOf([commandRecord('a', { isNow: true, expiresInMs: 1000 })]));
  clock.advance(1250);
  expect(said).toEqual([]);
  clock.advance(2000);
  expect(said).toEqual(['a expired']);
});

it('sends nothing after it was stopped, and still says what is acknowledged', async () => {
  const { clock, courier, subscribers, said } = openRig();
  const { subscriber, sent, answers } = connection();
  courier.start();
  subscribers.add(topic, subscriber);
  courier.read(logOf([commandRecord('a'), commandRecord('b')]));
  courier.stop();
  answers[0]!(true);
  await turn();
  clock.advance(5000);
  expect(sent).toEqual(['a']);
  expect(said).toEqual(['a acknowledged']);
});
