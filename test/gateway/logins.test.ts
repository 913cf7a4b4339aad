import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { Decoys } from '../../gateway/identity/decoys.ts';
import { LoginThrottle } from '../../gateway/identity/login-throttle.ts';
import { Logins } from '../../gateway/identity/logins.ts';
import { hashPassword, parseHash, verifyPassword } from '../../gateway/identity/password.ts';
import { parseUsers } from '../../gateway/identity/users.ts';
import { Verifications } from '../../gateway/identity/verifications.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { defaults } from './harness.ts';
import { usersFile } from './users-fixture.ts';

const hash = parseHash('$scrypt$ln=14,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA')!;

/** Whether a promise is settled once all that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await pause(0);
  return settled;
}

describe('Failed logins of an address', () => {
  function failing(times: number, address = '10.0.0.1') {
    const clock = new ManualClock();
    const throttle = new LoginThrottle(clock, 10);
    for (let i = 0; i < times; i++) throttle.fail(address);
    return { clock, throttle };
  }

  it('cost nothing at first, then longer and longer, up to five seconds', async () => {
    for (const [times, delayMs] of [
      [9, 0],
      [10, 100],
      [11, 200],
      [15, 3200],
      [16, 5000],
      [1000, 5000],
    ] as const) {
      const { clock, throttle } = failing(times);
      const waited = throttle.wait('10.0.0.1');
      if (delayMs > 0) {
        clock.advance(delayMs - 1);
        expect(await isSettled(waited), `${times} failures, too early`).toBe(false);
        clock.advance(1);
      }
      expect(await isSettled(waited), `${times} failures`).toBe(true);
      expect(await waited).toBe(delayMs === 0 ? 'at once' : 'waited');
    }
  });

  it('are of that address, which is a /64 of IPv6', async () => {
    const { throttle } = failing(100, '2001:db8::1');
    expect(await throttle.wait('2001:db8:1::1')).toBe('at once');
    expect(throttle.isDelayed('2001:db8::2')).toBe(true);
    expect(throttle).toMatchObject({ failed: 100, delayed: 0 });
  });

  it('are forgotten, one each second', async () => {
    const { clock, throttle } = failing(1000);
    clock.advance(6000);
    expect(throttle.isDelayed('10.0.0.1')).toBe(true);
    clock.advance(1001);
    expect(throttle.isDelayed('10.0.0.1')).toBe(false);
  });

  it('let eight wait, and turn more away unasked', async () => {
    const { clock, throttle } = failing(20);
    const waiting = Array.from({ length: 8 }, () => throttle.wait('10.0.0.1'));
    expect(await throttle.wait('10.0.0.1')).toBe('turned away');
    expect(throttle.isTurnedAway('10.0.0.1')).toBe(true);
    expect(throttle.isTurnedAway('10.0.0.2')).toBe(false);
    clock.advance(5000);
    expect(await Promise.all(waiting)).toEqual(Array(8).fill('waited'));
    clock.advance(20_000);
    expect(await isSettled(throttle.wait('10.0.0.1'))).toBe(true);
  });

  it('are remembered of ten thousand addresses, and the longest ago is forgotten', () => {
    const { throttle } = failing(20, 'first');
    for (let i = 0; i < 9999; i++) throttle.fail(`10.1.${i >> 8}.${i & 255}`);
    expect(throttle.isDelayed('first')).toBe(true);
    throttle.fail('one more');
    expect(throttle.isDelayed('first')).toBe(false);
  });
});

describe('The right password', () => {
  it('from an address that is slowed gets in when it has waited, and no earlier', async () => {
    const clock = new ManualClock();
    const { file } = await usersFile([{ user: 'pump1', password: 'open sesame', site: 'lab', device: 'd1' }]);
    const logins = await Logins.open({ ...defaults, usersFile: file }, clock, silentLogger);
    const shown = { username: 'pump1', password: Buffer.from('open sesame'), address: '10.0.0.1', certificate: null };
    for (let i = 0; i < 1000; i++) logins.throttle.fail('10.0.0.1');
    const login = logins.login(shown);
    clock.advance(4999);
    expect(await isSettled(login)).toBe(false);
    clock.advance(1);
    expect(await login).toMatchObject({ identity: { user: 'pump1', site: 'lab', device: 'd1' } });
    const elsewhere = await logins.login({ ...shown, address: '10.0.0.2' });
    expect(elsewhere).toMatchObject({ identity: { user: 'pump1' } });
  });

  it('is not tried when others that came with it have failed meanwhile', async () => {
    const clock = new ManualClock();
    const { file } = await usersFile([{ user: 'pump1', password: 'open sesame', site: 'lab', device: 'd1' }]);
    const logins = await Logins.open({ ...defaults, usersFile: file }, clock, silentLogger);
    const guess = (i: number) => Buffer.from(i === 29 ? 'open sesame' : `guess ${i}`);
    const shown = { username: 'pump1', address: '10.0.0.1', certificate: null };
    const all = await Promise.all(Array.from({ length: 30 }, (_, i) => logins.login({ ...shown, password: guess(i) })));
    expect(all.at(-1)).toEqual({ refusal: 'too_many_logins' });
    expect(logins.throttle.failed).toBeLessThan(13);
  });
});

describe('Who is not in the users file', () => {
  const of = (...costs: number[]) =>
    parseUsers(
      costs
        .map((ln, i) => ({ user: `u${i}`, password: `$scrypt$ln=${ln},r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA` }))
        .map((entry) => `${JSON.stringify({ ...entry, site: 's', device: 'd' })}\n`)
        .join(''),
    );
  const names = Array.from({ length: 400 }, (_, i) => `nobody-${i}`);

  it('is refused after as long as some user, of one name always the same', async () => {
    const users = await of(14, 10, 10, 10);
    const decoys = new Decoys();
    const draw = () => names.map((name) => decoys.of(name, users).options.N);
    const first = draw();
    expect(draw()).toEqual(first);
    const slow = first.filter((N) => N === 2 ** 14).length / names.length;
    expect(slow, 'a quarter of the users is slow').toBeGreaterThan(0.15);
    expect(slow).toBeLessThan(0.35);
  });

  it('is refused at the cost of a password that a person chose where there are no users', async () => {
    expect(new Decoys().of('a', await of()).options.N).toBe(2 ** 14);
  });
});

describe('Verifications', () => {
  /** Verifies nothing before it is told to. */
  function open() {
    const clock = new ManualClock();
    const running: { password: string; end: (isRight: boolean) => void }[] = [];
    const verify = (password: Buffer) =>
      new Promise<boolean>((resolve) => running.push({ password: String(password), end: resolve }));
    const verifications = new Verifications(clock, verify);
    const ask = (password: string, address: string) => verifications.verify(Buffer.from(password), hash, address);
    return { clock, running, ask };
  }

  it('run two at a time, and addresses in turn', async () => {
    const { running, ask } = open();
    for (let i = 0; i < 50; i++) void ask(`a${i}`, 'a');
    void ask('b0', 'b');
    void ask('b1', 'b');
    expect(running.map(({ password }) => password)).toEqual(['a0', 'a1']);
    for (let i = 0; i < 4; i++) {
      running[i]!.end(false);
      await pause(0);
    }
    expect(running.map(({ password }) => password)).toEqual(['a0', 'a1', 'a2', 'b0', 'a3', 'b1']);
  });

  it('remember who was right for a day, of the very hash, and not who was wrong', async () => {
    const { clock, running, ask } = open();
    const first = ask('right', 'a');
    running[0]!.end(true);
    expect(await first).toBe('right');
    expect(await ask('right', 'elsewhere')).toBe('right');
    clock.advance(23 * 3_600_000);
    expect(await ask('right', 'a'), 'and each time anew').toBe('right');
    clock.advance(23 * 3_600_000);
    expect(await ask('right', 'a')).toBe('right');
    clock.advance(25 * 3_600_000);
    void ask('right', 'a');
    expect(running).toHaveLength(2);
    const wrong = ask('wrong', 'a');
    running[1]!.end(false);
    running[2]!.end(false);
    expect(await wrong).toBe('wrong');
    void ask('wrong', 'a');
    expect(running).toHaveLength(4);
  });

  it('give up the newest of the longest line when two hundred wait', async () => {
    const { ask } = open();
    const flood = Array.from({ length: 202 }, (_, i) => ask(`a${i}`, 'a'));
    expect(await isSettled(flood.at(-1)!)).toBe(false);
    const other = ask('b', 'b');
    expect(await flood.at(-1)).toBe('busy');
    expect(await isSettled(other)).toBe(false);
    expect(await ask('one more', 'a')).toBe('busy');
  });

  it('cost next to nothing for who was right before', async () => {
    const verifications = new Verifications(new ManualClock());
    const known = parseHash(await hashPassword('open sesame'))!;
    const password = Buffer.from('open sesame');
    expect(await verifications.verify(password, known, 'a')).toBe('right');
    const fromMs = performance.now();
    for (let i = 0; i < 1000; i++) await verifications.verify(password, known, 'a');
    expect((performance.now() - fromMs) / 1000).toBeLessThan(5);
    expect(await verifyPassword(password, known)).toBe(true);
  });
});
