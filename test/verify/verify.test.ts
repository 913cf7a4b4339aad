/** A run of which all is well is proved; whatever is broken on purpose is named, and nothing else. */
import { expect, test } from 'vitest';
import { unrulyFleet } from './fleet.ts';
import { found, process, verified } from './rig.ts';

test('a run of which all is well', async () => {
  const fleet = unrulyFleet();
  const rig = await process(fleet);
  const report = await verified(rig, fleet);
  expect(found(report)).toEqual({ broken: [], counts: {}, problems: [] });
  expect(report).toMatchObject({ ok: true });
});
