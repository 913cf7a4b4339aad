import { describe, expect, it } from 'vitest';
import { routeOf } from '../../core/route.ts';
import { Access } from '../../gateway/identity/access.ts';
import { any, type Identity, trusted } from '../../gateway/identity/identity.ts';
import { filterProblem, matches } from '../../gateway/identity/topic-filter.ts';

const pump: Identity = {
  source: 'users file',
  user: 'pump1',
  site: 'plant',
  device: 'd1',
  publish: null,
  subscribe: null,
};

function mayPublish(identity: Identity, topic: string, clientId = 'c1'): boolean {
  return new Access(identity, clientId).mayPublish(topic, routeOf(topic));
}

describe('What an identity may publish', () => {
  it.each([
    ['its own telemetry', pump, 'iot/plant/d1/telemetry', true],
    ['that of another device', pump, 'iot/plant/d2/telemetry', false],
    ['that of its device at another site', pump, 'iot/lab/d1/telemetry', false],
    ['commands to itself', pump, 'iot/plant/d1/commands', false],
    ['errors to itself', pump, 'iot/plant/d1/errors', false],
    ['a topic without a route', pump, 'some/topic', false],
    ['for any device of a site', { ...pump, device: any }, 'iot/plant/d7/telemetry', true],
    ['for a device of another site', { ...pump, device: any }, 'iot/lab/d7/telemetry', false],
    ['for any device of any site', { ...pump, site: any, device: any }, 'iot/lab/d7/telemetry', true],
    ['what its own rules say', { ...pump, publish: ['plant/%u/#'] }, 'plant/pump1/a/b', true],
    ['what they do not say', { ...pump, publish: ['plant/%u/#'] }, 'iot/plant/d1/telemetry', false],
    ['anything, if it is trusted', trusted('nobody'), 'iot/plant/d1/commands', true],
    ['nothing, without a rule', { ...pump, publish: [] }, 'iot/plant/d1/telemetry', false],
  ])('%s', (_what, identity, topic, expected) => {
    expect(mayPublish(identity, topic)).toBe(expected);
  });

  it('a topic without a route, if its messages bear its own name', () => {
    expect(mayPublish(pump, 'some/topic', 'pump1')).toBe(true);
    expect(mayPublish(pump, 'some/topic', 'pump2')).toBe(false);
    expect(mayPublish(pump, 'some/commands', 'pump1')).toBe(false);
  });

  it('is the same whatever was asked before, also by rules of its own', () => {
    const access = new Access({ ...pump, publish: ['a/+'] }, 'c1');
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 600; i++) {
        expect(access.mayPublish(`a/${i}`, null)).toBe(true);
        expect(access.mayPublish(`b/${i}`, null)).toBe(false);
      }
    }
  });
});

describe('What an identity may subscribe to', () => {
  it.each([
    ['commands to its device', pump, 'iot/plant/d1/commands', true],
    ['errors of its device', pump, 'iot/plant/d1/errors', true],
    ['commands to another', pump, 'iot/plant/d2/commands', false],
    ['its own telemetry', pump, 'iot/plant/d1/telemetry', false],
    ['commands to all', { ...pump, site: any, device: any }, 'iot/plant/+/commands', false],
    ['commands to everything', trusted('nobody'), '#', false],
    ['commands to one of many', { ...pump, device: any }, 'iot/plant/d9/commands', true],
    ['one that its rules allow', { ...pump, subscribe: ['iot/+/%c/errors'] }, 'iot/lab/c1/errors', true],
    ['one that they do not', { ...pump, subscribe: ['iot/+/%c/errors'] }, 'iot/plant/d1/errors', false],
    ['one of more levels', { ...pump, site: any, device: any }, 'iot/a/b/c/commands', false],
    ['one without a site', { ...pump, site: any, device: any }, 'iot//d1/commands', false],
  ])('%s', (_what, identity, topic, expected) => {
    expect(new Access(identity, 'c1').maySubscribe(topic)).toBe(expected);
  });
});

describe('Topic filters', () => {
  const names = { user: 'u', clientId: 'c' };

  it.each([
    ['a/b', 'a/b', true],
    ['a/b', 'a/b/c', false],
    ['a/b/c', 'a/b', false],
    ['a/+', 'a/', true],
    ['+', 'a/b', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['a/#', 'b', false],
    ['#', '/', true],
    ['x-%u/%c', 'x-u/c', true],
  ])('%s and %s: %s', (filter, topic, expected) => {
    expect(matches(filter, topic, names)).toBe(expected);
  });

  it.each(['+', '#', 'a/b', '%c'])('are not widened by a user called %s', (user) => {
    expect(matches('x/%u', 'x/y', { user, clientId: 'y' })).toBe(false);
    expect(matches('x/%u', 'x/a/b', { user, clientId: 'y' })).toBe(false);
  });

  it('are refused where MQTT refuses them', () => {
    expect(['a/#/b', 'a#', 'a/b+', ''].map(filterProblem)).not.toContain(null);
    expect(['#', '+/a', 'a/%u/#'].map(filterProblem)).toEqual([null, null, null]);
  });
});
