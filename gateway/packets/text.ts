/**
 * UTF-8 as MQTT wants it (3.1.1 §1.5.3), told from the bytes: the broker's parser puts U+FFFD in place of what is wrong
 * and says nothing.
 */
import { isUtf8 } from 'node:buffer';

/** Whether `bytes[from, to)` is UTF-8 without surrogates, NUL, control characters and non-characters. */
export function isText(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    if (byte > 0x7f) return isBeyondAscii(bytes, i, to);
    if (byte < 0x20 || byte === 0x7f) return false;
  }
  return true;
}

function isBeyondAscii(bytes: Buffer, from: number, to: number): boolean {
  if (!isUtf8(bytes.subarray(from, to))) return false;
  for (let at = from; at < to; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    let codePoint = length === 1 ? lead : lead & (0xff >> (length + 1));
    for (let i = 1; i < length; i++) codePoint = (codePoint << 6) | (bytes[at + i]! & 0x3f);
    if (isControl(codePoint) || isNonCharacter(codePoint)) return false;
    at += length;
  }
  return true;
}

function isControl(codePoint: number): boolean {
  return codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f);
}

function isNonCharacter(codePoint: number): boolean {
  return (codePoint >= 0xfdd0 && codePoint <= 0xfdef) || (codePoint & 0xfffe) === 0xfffe;
}
