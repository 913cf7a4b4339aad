import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import type { Cutoffs } from './calls.ts';
import { transaction } from './schema.ts';

/** A slice with its commit stays below 20 ms. */
const sliceMs = 10;
const rowsPerStatement = 250;

/**
 * Deletes points older than the cut-offs, series by series, oldest first, and series that are left empty; resolves to
 * the number of points. In slices: between two of them writes have their turn. The file does not shrink, but its free
 * pages are used again. `onSeriesDeleted` is called before anything else can use an id that is gone.
 */
export async function sweep(database: DatabaseSync, cutoffs: Cutoffs, onSeriesDeleted: () => void): Promise<number> {
  const { deleteOldest, deleteNewest, deleteEmpty, selectSeries } = prepare(database);
  const series = selectSeries.all() as { id: number; bucket: 'raw' | 'rollup' }[];
  let at = 0;
  let pointsDeleted = 0;

  const deleteSlice = (): number => {
    const untilMs = performance.now() + sliceMs;
    let seriesDeleted = 0;
    while (at < series.length && performance.now() < untilMs) {
      const { id, bucket } = series[at]!;
      const cutoffUs = cutoffs[bucket];
      if (cutoffUs !== null) {
        const deleted = Number(deleteOldest.run(id, id, cutoffUs, rowsPerStatement).changes);
        pointsDeleted += deleted;
        if (deleted === rowsPerStatement) continue;
        deleteNewest.run(id, cutoffUs);
        seriesDeleted += Number(deleteEmpty.run(id, id).changes);
      }
      at += 1;
    }
    return seriesDeleted;
  };

  while (at < series.length) {
    if (transaction(database, deleteSlice) > 0) onSeriesDeleted();
    await setImmediate();
  }
  return pointsDeleted;
}

function prepare(database: DatabaseSync) {
  return {
    selectSeries: database.prepare('SELECT id, bucket FROM series'),
    deleteOldest: database.prepare(`
      DELETE FROM points WHERE series_id = ? AND (time_us, k) IN
        (SELECT time_us, k FROM points WHERE series_id = ? AND time_us < ? ORDER BY time_us, k LIMIT ?)`),
    deleteNewest: database.prepare('DELETE FROM newest WHERE series_id = ? AND time_us < ?'),
    deleteEmpty: database.prepare(
      'DELETE FROM series WHERE id = ? AND NOT EXISTS (SELECT 1 FROM points WHERE series_id = ?)',
    ),
  };
}
