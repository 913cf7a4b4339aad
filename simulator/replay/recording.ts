/** The rows of a recording that can be sent; the others are counted, and the first of them named. */
import { SluiceError } from '../../core/errors.ts';
import { BadLine, recordsOf } from './records.ts';
import { type Mapping, type Row, rowOf } from './rows.ts';

/** How many bad lines are told one by one. */
const maxNamed = 10;

export class Recording {
  /** When the first row was recorded. */
  readonly firstMs: number;
  readonly #file: string;
  readonly #first: Row;
  readonly #rest: AsyncGenerator<Row>;
  readonly #bad: BadLines;

  private constructor(file: string, first: Row, rest: AsyncGenerator<Row>, bad: BadLines) {
    this.#file = file;
    this.#first = first;
    this.#rest = rest;
    this.#bad = bad;
    this.firstMs = first.timeMs;
  }

  /** Throws CONFIG_INVALID when the file cannot be read, or none of its lines. */
  static async open(file: string, mapping: Mapping): Promise<Recording> {
    const bad = new BadLines();
    const rows = rowsOf(file, mapping, bad);
    const { value: first } = await rows.next();
    if (first !== undefined) return new Recording(file, first, rows, bad);
    const why = bad.count === 0 ? 'it is empty' : `as in ${bad.first.join('; ')}`;
    throw new SluiceError('CONFIG_INVALID', `no line of ${file} can be sent: ${why}`);
  }

  /** All rows; once. */
  async *rows(): AsyncGenerator<Row> {
    yield this.#first;
    yield* this.#rest;
  }

  /** A row that turns out not to be one. */
  reject(reason: string): void {
    this.#bad.add(reason);
  }

  problems(): readonly string[] {
    const { count, first } = this.#bad;
    if (count === 0) return [];
    return [`${count} lines of ${this.#file} were not sent: ${first.join('; ')}${count > maxNamed ? '; …' : ''}`];
  }
}

class BadLines {
  count = 0;
  readonly first: string[] = [];

  add(text: string): void {
    this.count++;
    if (this.count <= maxNamed) this.first.push(text);
  }
}

async function* rowsOf(file: string, mapping: Mapping, bad: BadLines): AsyncGenerator<Row> {
  for await (const line of recordsOf(file)) {
    const row = rowOf(line, mapping);
    if (row instanceof BadLine) bad.add(`line ${line.line}: ${row.reason}`);
    else yield row;
  }
}
