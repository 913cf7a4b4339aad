import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Folder of package.json: the checkout, or the installed package whose code is in `dist/`. */
export const packageFolder = nearestPackage(import.meta.dirname);

export const version: string = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')).version;

function nearestPackage(from: string): string {
  return existsSync(join(from, 'package.json')) ? from : nearestPackage(dirname(from));
}
