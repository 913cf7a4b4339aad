/** How a reading is written into a payload: the forms that the pipeline's default route can read. */
import type { FieldValue } from '../core/reading.ts';

export const formats = ['json', 'json-nested'] as const;
export type Format = (typeof formats)[number];

/** A sensor that fails may send `null`. */
export type SentFields = Readonly<Record<string, FieldValue | null>>;

/** `null` leaves `ts` or `seq` out. `json-nested` makes objects of dots: `motor.rpm` is then `{"motor":{"rpm":900}}`. */
export function encode(format: Format, timeMs: number | null, seq: number | null, fields: SentFields): string {
  return JSON.stringify({
    ...(timeMs === null ? {} : { ts: timeMs }),
    ...(seq === null ? {} : { seq }),
    ...(format === 'json' ? fields : nested(fields)),
  });
}

interface Tree {
  [name: string]: Tree | FieldValue | null;
}

function nested(fields: SentFields): Tree {
  const root: Tree = {};
  for (const [path, value] of Object.entries(fields)) {
    const names = path.split('.');
    const last = names.pop()!;
    let tree = root;
    for (const name of names) {
      tree[name] ??= {};
      tree = tree[name] as Tree;
    }
    tree[last] = value;
  }
  return root;
}
