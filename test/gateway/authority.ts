/** An authority, and certificates of it, as files in a folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertifiedFiles {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly folder: string;
  readonly ca: string;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'sluice-authority-'));
    this.ca = join(this.folder, 'ca.crt');
    this.#openssl('-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Of the broker on 127.0.0.1. */
  server(): CertifiedFiles {
    return this.#certified('broker', '-addext', 'subjectAltName=IP:127.0.0.1');
  }

  /** Of a client with this common name. */
  client(name: string): CertifiedFiles {
    return this.#certified(name, '-addext', 'extendedKeyUsage=clientAuth');
  }

  #certified(name: string, ...extension: string[]): CertifiedFiles {
    const file = name.replaceAll('/', '-');
    const subject = `/CN=${name.replaceAll('/', '\\/')}`;
    const files = ['-keyout', `${file}.key`, '-out', `${file}.crt`];
    this.#openssl('-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', subject, ...extension, ...files);
    return { cert: join(this.folder, `${file}.crt`), key: join(this.folder, `${file}.key`) };
  }

  #openssl(...args: string[]): void {
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
    execFileSync('openssl', ['req', '-x509', ...newKey, ...args], { cwd: this.folder, stdio: 'pipe' });
  }
}
