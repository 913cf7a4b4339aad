/** The topics on which a device is spoken to: `iot/{site}/{device}/commands` and `…/errors`. */

export type ToDevice = 'commands' | 'errors';

export function topicToDevice(site: string, device: string, kind: ToDevice): string {
  return `iot/${site}/${device}/${kind}`;
}

/** Whose it is; `null` for any other topic, and for a filter of many. */
export function deviceOf(topic: string): { site: string; device: string; kind: ToDevice } | null {
  if (!isToDevice(topic)) return null;
  const [root, site, device, kind, ...rest] = topic.split('/');
  if (root !== 'iot' || !isName(site) || !isName(device) || rest.length > 0) return null;
  return { site, device, kind: kind === 'commands' ? 'commands' : 'errors' };
}

/** Also one that only ends like it: no device may publish to it. */
export function isToDevice(topic: string): boolean {
  return topic.endsWith('/commands') || topic.endsWith('/errors');
}

function isName(level: string | undefined): level is string {
  return level !== undefined && level !== '' && !/[+#]/.test(level);
}
