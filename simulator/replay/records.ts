/** A recording, line by line: CSV with a header, or NDJSON. What cannot be read is a bad line, and the next one counts. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { CsvError, type Info, parse } from 'csv-parse';
import { messageOf, SluiceError } from '../../core/errors.ts';

export interface RecordLine {
  /** From 1; a CSV record may span several, then it is the last. */
  readonly line: number;
  /** Column → value, or why there are none. */
  readonly record: Readonly<Record<string, unknown>> | BadLine;
}

export class BadLine {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** An open quote must not take the rest of the file with it. */
const maxRecordBytes = 1_048_576;

/** By the end of the name: `.csv`, else NDJSON. Throws CONFIG_INVALID when the file cannot be read. */
export async function* recordsOf(file: string): AsyncGenerator<RecordLine> {
  try {
    yield* file.toLowerCase().endsWith('.csv') ? csvRecords(file) : jsonRecords(file);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('CONFIG_INVALID', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function* csvRecords(file: string): AsyncGenerator<RecordLine> {
  const bad: RecordLine[] = [];
  const parser = parse({
    columns: true,
    bom: true,
    trim: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
    skip_records_with_error: true,
    on_skip: (error) => {
      const line = error instanceof CsvError && typeof error.lines === 'number' ? error.lines : 0;
      bad.push({ line, record: new BadLine(error?.message ?? 'not readable') });
      return undefined;
    },
  });
  const input = createReadStream(file);
  input.on('error', (error) => parser.destroy(error));
  const records = input.pipe(parser) as AsyncIterable<{ info: Info; record: Record<string, unknown> }>;
  try {
    for await (const { info, record } of records) {
      // The parser is ahead of what it hands out.
      while (bad.length > 0 && bad[0]!.line < info.lines) yield bad.shift()!;
      yield { line: info.lines, record };
    }
    yield* bad;
  } finally {
    input.destroy();
  }
}

async function* jsonRecords(file: string): AsyncGenerator<RecordLine> {
  const input = createReadStream(file, 'utf8');
  let line = 0;
  try {
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      if (text.trim() !== '') yield { line, record: jsonRecord(text) };
    }
  } finally {
    input.destroy();
  }
}

function jsonRecord(text: string): RecordLine['record'] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    return new BadLine(`not JSON: ${messageOf(error)}`);
  }
  if (typeof content === 'object' && content !== null && !Array.isArray(content)) return { ...content };
  return new BadLine('expected an object such as {"device": "s1", "time": "…", "temperature": 21.5}');
}
