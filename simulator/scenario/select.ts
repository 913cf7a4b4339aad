/** Which devices an event or a fault is for. */
import type { DeviceIdentity } from '../fleet.ts';

/**
 * `devices` is a part of each fleet (`10%`: every tenth device, the first included), or a name in which `*` stands for any
 * text and `?` for one character; `undefined`: all.
 */
export function isSelected(devices: string | undefined, { device, index }: DeviceIdentity): boolean {
  if (devices === undefined) return true;
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(devices);
  if (percent === null) return glob(devices).test(device);
  const part = Number(percent[1]) / 100;
  return Math.ceil((index + 1) * part) > Math.ceil(index * part);
}

function glob(pattern: string): RegExp {
  const escaped = pattern.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'su');
}
