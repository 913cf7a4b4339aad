import { describe, expect, it } from 'vitest';
import { isText } from '../../gateway/packets/text.ts';

const whole = (bytes: Buffer) => isText(bytes, 0, bytes.length);
const utf8 = (...codePoints: number[]) => Buffer.from(String.fromCodePoint(...codePoints));

describe('Text as MQTT wants it [MQTT-1.5.3-1], [MQTT-1.5.3-2]', () => {
  it.each(['', 'iot/lab/d1/telemetry', ' ', '~', 'Käse', '温度/센서', '🌡', '\ufeffbom', '\u00a0'])(
    'takes %j',
    (text) => {
      expect(whole(Buffer.from(text))).toBe(true);
      expect(whole(Buffer.from(`iot/${text}/x`))).toBe(true);
    },
  );

  it.each([
    0x00, 0x01, 0x0a, 0x1f, 0x7f, 0x80, 0x9f, 0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1fffe, 0x1ffff, 0xafffe, 0x10ffff,
  ])('refuses U+%s', (codePoint) => {
    const character = utf8(codePoint);
    expect(whole(character)).toBe(false);
    expect(whole(Buffer.concat([Buffer.from('ä/'), character, Buffer.from('/x')]))).toBe(false);
  });

  it.each([0x20, 0x7e, 0xa0, 0xfdcf, 0xfdf0, 0xfffd, 0x1fffd, 0x20000, 0x10fffd])('takes U+%s', (codePoint) => {
    expect(whole(utf8(codePoint))).toBe(true);
  });

  it.each([
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
    ['an overlong NUL', [0xc0, 0x80]],
    ['an overlong slash', [0xe0, 0x80, 0xaf]],
    ['a character that ends early', [0xe2, 0x82]],
    ['a continuation alone', [0x80]],
    ['more than U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['Latin-1', [0x4b, 0xe4, 0x73, 0x65]],
  ])('refuses %s', (_what, bytes) => {
    expect(whole(Buffer.from(bytes))).toBe(false);
  });

  it('looks at the part that was asked for', () => {
    const bytes = Buffer.from([0x00, 0x61, 0xc3, 0xa4, 0x62, 0x00]);
    expect(isText(bytes, 1, 5)).toBe(true);
    expect(isText(bytes, 1, 3)).toBe(false);
    expect(isText(bytes, 0, 5)).toBe(false);
  });
});
