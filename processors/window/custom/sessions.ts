/**
 * Sessions of one device, each field by itself: readings closer to each other than `gap`. What they are follows from the
 * readings in order of their time, whatever the order in which they came. So readings that another may still come before
 * are kept one by one, and sessions are found by walking along them; what lies behind the horizon is folded up.
 */
import type { Reading } from '../../../core/reading.ts';
import type { Point, Series } from '../../../store/port.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import type { Emit, Windower } from '../windower.ts';
import { customSeries, maxFieldsPerDevice, type SessionEntry } from './entry.ts';
import { dayUs } from './grid.ts';
import { TimedValues } from './timed-values.ts';
import { Totals } from './totals.ts';

/** The longest session; it is cut there, and the next reading begins another. */
const maxLengthUs = dayUs;

interface Span {
  readonly startUs: number;
  lastUs: number;
  count: number;
}

/** Of readings that nothing can come before. */
interface Settled extends Span {
  readonly totals: Totals;
}

interface Session extends Span {
  readonly settled: Settled | null;
  /** Its live readings. */
  from: number;
  to: number;
}

/** The point that was written at a start, last. */
interface Written {
  readonly revision: number;
  readonly lastUs: number;
  readonly count: number;
  readonly final: boolean;
  readonly retracted: boolean;
  readonly totals: Readonly<Record<string, number>>;
}

interface Track {
  readonly series: Series;
  /** By rising start. Only the last of them may go on with live readings. */
  readonly settled: Settled[];
  readonly live: TimedValues<number>;
  readonly written: Map<number, Written>;
  /** No session that was written ends after it. */
  writtenUntilUs: number;
  /** Sessions that begin before it are final, and written. */
  openFromUs: number;
}

export class SessionWindows implements Windower {
  readonly #entry: SessionEntry;
  readonly #site: string;
  readonly #device: string;
  readonly #emit: Emit;
  readonly #tracks = new Map<string, Track>();
  /** Of this step, put out by rising start. */
  #points: Point[] = [];
  /** The watermark: sessions that end by then are final. An entry may be new where the device is not. */
  #closedUs = Number.NEGATIVE_INFINITY;
  #horizonUs = Number.NEGATIVE_INFINITY;
  /** No session has to be closed before the watermark, or silence, is there. */
  #nextCloseUs = Number.POSITIVE_INFINITY;
  #nextSilentUs = Number.POSITIVE_INFINITY;

  constructor(entry: SessionEntry, site: string, device: string, emit: Emit) {
    this.#entry = entry;
    this.#site = site;
    this.#device = device;
    this.#emit = emit;
  }

  add({ fields, timeUs }: Reading, watermarkUs: number): void {
    const { filter, gapUs } = this.#entry;
    this.#closedUs = watermarkUs;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number' || !filter.matches(name)) continue;
      const track = this.#tracks.get(name) ?? this.#addTrack(name);
      if (track === undefined) continue;
      const index = track.live.insert(timeUs, value);
      this.#nextCloseUs = Math.min(this.#nextCloseUs, timeUs + gapUs);
      this.#nextSilentUs = Math.min(this.#nextSilentUs, timeUs + gapUs);
      const isNearWritten = timeUs < track.writtenUntilUs || timeUs + gapUs <= watermarkUs;
      if (isNearWritten) this.#correct(track, index);
      else track.openFromUs = Math.min(track.openFromUs, timeUs);
    }
    if (this.#points.length > 0) this.#putOut();
  }

  advance(watermarkUs: number, horizonUs: number): void {
    if (watermarkUs >= this.#nextCloseUs) this.#close(watermarkUs, Number.NEGATIVE_INFINITY);
    this.#closedUs = watermarkUs;
    if (horizonUs > this.#horizonUs) this.#settle(Math.min(watermarkUs, horizonUs), horizonUs);
  }

  closeProvisionally(untilUs: number): void {
    if (untilUs >= this.#nextSilentUs) this.#close(this.#closedUs, untilUs);
  }

  finalise(): void {
    this.#close(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    this.#closedUs = Number.POSITIVE_INFINITY;
  }

  /** A reading came near sessions that were written, or into one that is final. */
  #correct(track: Track, index: number): void {
    const { live, written } = track;
    const [from, to] = this.#neighbours(live, index);
    const sessions = this.#sessions(track, from, to);
    const starts = new Set(sessions.map(({ startUs }) => startUs));
    for (let i = from; i < to; i++) {
      const startUs = live.timeAt(i);
      const before = written.get(startUs);
      if (before !== undefined && !before.retracted && !starts.has(startUs)) this.#retract(track, startUs, before);
    }
    const final = sessions.filter((session) => this.#endUs(session) <= this.#closedUs);
    for (const session of final) this.#writeIfNews(track, session, true);
    if (from > 0 && track.openFromUs < live.timeAt(from)) return;
    // Sessions end in the order in which they begin: what follows the final ones is open.
    const next = to < live.length ? live.timeAt(to) : Number.POSITIVE_INFINITY;
    track.openFromUs = sessions[final.length]?.startUs ?? next;
  }

  /** Live readings that could be in one session with one of them, or in another of a chain that is cut. */
  #neighbours(live: TimedValues<number>, index: number): [from: number, to: number] {
    const { gapUs } = this.#entry;
    let from = index;
    let to = index + 1;
    while (from > 0 && live.timeAt(from) - live.timeAt(from - 1) < gapUs) from--;
    while (to < live.length && live.timeAt(to) - live.timeAt(to - 1) < gapUs) to++;
    return [from, to];
  }

  /** Writes what has become final by `watermarkUs`, and provisionally what silence ends by `silentUs`. */
  #close(watermarkUs: number, silentUs: number): void {
    this.#nextCloseUs = Number.POSITIVE_INFINITY;
    this.#nextSilentUs = Number.POSITIVE_INFINITY;
    for (const track of this.#tracks.values()) {
      const { live } = track;
      const sessions = this.#sessions(track, live.firstFrom(track.openFromUs), live.length);
      track.openFromUs = Number.POSITIVE_INFINITY;
      for (const session of sessions) {
        const endUs = this.#endUs(session);
        const final = endUs <= watermarkUs;
        if (final || endUs <= silentUs) this.#writeIfNews(track, session, final);
        else this.#nextSilentUs = Math.min(this.#nextSilentUs, endUs);
        if (final) continue;
        this.#nextCloseUs = Math.min(this.#nextCloseUs, endUs);
        track.openFromUs = Math.min(track.openFromUs, session.startUs);
      }
    }
    this.#putOut();
  }

  /** The sessions of live readings, by rising start; of the first of them with what is settled in front. */
  #sessions({ settled, live }: Track, from: number, to: number): Session[] {
    const sessions: Session[] = [];
    if (from === 0) {
      for (const each of settled) {
        const { startUs, lastUs, count } = each;
        sessions.push({ startUs, lastUs, count, settled: each, from: 0, to: 0 });
      }
    }
    let current = sessions.at(-1);
    for (let i = from; i < to; i++) {
      const timeUs = live.timeAt(i);
      if (current === undefined || !this.#holds(current, timeUs)) {
        current = { startUs: timeUs, lastUs: timeUs, count: 0, settled: null, from: i, to: i };
        sessions.push(current);
      }
      current.lastUs = timeUs;
      current.count++;
      current.to = i + 1;
    }
    return sessions;
  }

  /** Whether a reading of that time, the next one, still belongs to it. */
  #holds({ startUs, lastUs }: Span, timeUs: number): boolean {
    return timeUs - lastUs < this.#entry.gapUs && timeUs - startUs < maxLengthUs;
  }

  #endUs({ lastUs }: { readonly lastUs: number }): number {
    return lastUs + this.#entry.gapUs;
  }

  /** What was written at a start that is none any more is written once more, as retracted. */
  #retract(track: Track, startUs: number, written: Written): void {
    this.#write(track, startUs, { ...written, revision: written.revision + 1, retracted: true });
  }

  #writeIfNews(track: Track, session: Session, final: boolean): void {
    const { startUs, lastUs, count } = session;
    const before = track.written.get(startUs);
    if (before !== undefined && !before.retracted && before.final === final) {
      // The last reading tells a session that lost some to the next one, when a cut moved, from what it was.
      if (before.count === count && before.lastUs === lastUs) return;
    }
    const revision = before === undefined ? 0 : before.revision + 1;
    const totals = this.#totals(track, session).fields();
    this.#write(track, startUs, { revision, lastUs, count, final, retracted: false, totals });
  }

  #write(track: Track, startUs: number, written: Written): void {
    const { revision, lastUs, final, retracted, totals } = written;
    track.written.set(startUs, written);
    track.writtenUntilUs = Math.max(track.writtenUntilUs, this.#endUs(written));
    const fields = { ...totals, durationMs: (lastUs - startUs) / 1000, retracted, revision, final };
    this.#points.push({ series: track.series, fields, timeUs: startUs, k: 0 });
  }

  #totals({ live }: Track, { settled, from, to }: Session): Totals {
    const totals = new Totals(this.#entry.plan);
    if (settled !== null) totals.merge(settled.totals);
    for (let i = from; i < to; i++) totals.add(live.valueAt(i), live.timeAt(i));
    return totals;
  }

  #putOut(): void {
    this.#points.sort((a, b) => a.timeUs - b.timeUs);
    for (const point of this.#points) this.#emit(point);
    this.#points = [];
  }

  /** Folds up what nothing can come before any more, and forgets sessions that nothing can join. */
  #settle(settledUs: number, horizonUs: number): void {
    this.#horizonUs = horizonUs;
    for (const [field, track] of this.#tracks) {
      const { settled, live, written } = track;
      live.takeBefore(horizonUs, (timeUs, value) => this.#fold(settled, timeUs, value));
      let dropped = 0;
      while (dropped < settled.length && this.#endUs(settled[dropped]!) <= settledUs) dropped++;
      for (const { startUs } of settled.splice(0, dropped)) written.delete(startUs);
      for (const [startUs, { retracted }] of written) {
        if (retracted && startUs < horizonUs) written.delete(startUs);
      }
      if (settled.length === 0 && live.length === 0 && written.size === 0) this.#tracks.delete(field);
    }
  }

  #fold(settled: Settled[], timeUs: number, value: number): void {
    let session = settled.at(-1);
    if (session === undefined || !this.#holds(session, timeUs)) {
      session = { startUs: timeUs, lastUs: timeUs, count: 0, totals: new Totals(this.#entry.plan) };
      settled.push(session);
    }
    session.lastUs = timeUs;
    session.count++;
    session.totals.add(value, timeUs);
  }

  /** `undefined` at the bound of fields. */
  #addTrack(field: string): Track | undefined {
    if (this.#tracks.size >= maxFieldsPerDevice) return undefined;
    const track = {
      series: customSeries(this.#entry.name, this.#site, this.#device, field),
      settled: [],
      live: new TimedValues<number>(),
      written: new Map(),
      writtenUntilUs: Number.NEGATIVE_INFINITY,
      openFromUs: Number.NEGATIVE_INFINITY,
    };
    this.#tracks.set(field, track);
    return track;
  }

  save(to: StateWriter): void {
    to.double(this.#closedUs);
    to.uint(this.#tracks.size);
    for (const [field, { settled, live, written }] of this.#tracks) {
      to.text(field);
      to.uint(settled.length);
      for (const { startUs, lastUs, count, totals } of settled) {
        for (const part of [startUs, lastUs - startUs, count]) to.uint(part);
        totals.save(to);
      }
      live.save(to, (value) => to.double(value));
      to.uint(written.size);
      for (const [startUs, { revision, lastUs, count, final, retracted, totals }] of written) {
        for (const part of [startUs, revision, lastUs - startUs, count]) to.uint(part);
        to.uint((final ? 1 : 0) + (retracted ? 2 : 0));
        to.doubles(Object.values(totals));
      }
    }
  }

  load(from: StateReader): void {
    this.#closedUs = from.double();
    for (let tracks = from.uint(); tracks > 0; tracks--) {
      const track = this.#addTrack(from.text())!;
      for (let sessions = from.uint(); sessions > 0; sessions--) {
        const startUs = from.uint();
        const settled = {
          startUs,
          lastUs: startUs + from.uint(),
          count: from.uint(),
          totals: new Totals(this.#entry.plan),
        };
        settled.totals.load(from);
        track.settled.push(settled);
      }
      track.live.load(from, () => from.double());
      for (let points = from.uint(); points > 0; points--) this.#loadWritten(track, from);
    }
    // Whatever has to be closed is found by the first look.
    this.#nextCloseUs = Number.NEGATIVE_INFINITY;
    this.#nextSilentUs = Number.NEGATIVE_INFINITY;
  }

  #loadWritten(track: Track, from: StateReader): void {
    const { aggregates } = this.#entry.plan;
    const startUs = from.uint();
    const [revision, lastUs, count, flags] = [from.uint(), startUs + from.uint(), from.uint(), from.uint()];
    const totals = Object.fromEntries(from.doubles().map((value, i) => [aggregates[i]!, value]));
    track.written.set(startUs, { revision, lastUs, count, final: flags % 2 === 1, retracted: flags >= 2, totals });
    track.writtenUntilUs = Math.max(track.writtenUntilUs, lastUs + this.#entry.gapUs);
  }
}
