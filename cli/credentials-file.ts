/**
 * User and password of each device of a fleet, one JSON object a line: what `sluice users import` writes for whoever sets
 * up the devices, and `sluice simulate --credentials` reads.
 */
import { z } from 'zod';

export interface DeviceCredentials {
  readonly site: string;
  readonly device: string;
  readonly user: string;
  readonly password: string;
}

const name = z.string().min(1);
const line = z.object({ site: name, device: name, user: name, password: z.string() });

/** By `site/device`. Throws an Error that names the line and says what is wrong with it; never with a password. */
export function parseCredentials(text: string): Map<string, DeviceCredentials> {
  const credentials = new Map<string, DeviceCredentials>();
  for (const [i, content] of text.split('\n').entries()) {
    if (content.trim() === '') continue;
    const found = line.safeParse(jsonOf(content));
    if (!found.success) {
      const [{ path, message }] = found.error.issues as [z.core.$ZodIssue];
      throw new Error(`line ${i + 1}: ${[...path, message].join(': ')}`);
    }
    credentials.set(`${found.data.site}/${found.data.device}`, found.data);
  }
  return credentials;
}

export function formatCredentials(credentials: Iterable<DeviceCredentials>): string {
  return [...credentials].map((one) => `${JSON.stringify(one)}\n`).join('');
}

/** Its own message would show what is there. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
