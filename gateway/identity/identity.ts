/** Who a client is, whatever it showed of itself: what it may do follows from this alone (`access.ts`). */

/** In place of a site or a device: each of them. */
export const any = '*';

export interface Identity {
  /** What says so. */
  readonly source: 'nobody' | 'configuration' | 'users file' | 'certificate' | 'token';
  readonly user: string;
  /** The site and device that it speaks for, or `any`; `null`: none, it has rules of its own. */
  readonly site: string | null;
  readonly device: string | null;
  /** Topic filters that take the place of what follows from site and device; `null`: it is that. */
  readonly publish: readonly string[] | null;
  readonly subscribe: readonly string[] | null;
}

const maxNameLength = 128;

/** May do everything: the one user of `mqtt.username`, and anyone where no one has to say who they are. */
export function trusted(source: 'nobody' | 'configuration', user = ''): Identity {
  return { source, user, site: any, device: any, publish: ['#'], subscribe: ['#'] };
}

/** A name of a user. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name.length <= maxNameLength;
}

/** A site or a device: one level of a topic, or `any`. */
export function isPlace(level: unknown): level is string {
  return isName(level) && /^[^/+#\p{Cc}]*$/u.test(level);
}
