/** An authority, and certificates of it for a broker on 127.0.0.1 and for a device, made anew for each test. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certified {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export function certificates(): { ca: Buffer; server: Certified; client: Certified } {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const certified = (name: string, extension: string): Certified => {
    const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`];
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key'];
    openssl(
      'req',
      '-x509',
      ...newKey,
      ...authority,
      '-subj',
      `/CN=${name}`,
      '-days',
      '1',
      '-addext',
      extension,
      ...files,
    );
    return { cert: readFileSync(join(dir, `${name}.crt`)), key: readFileSync(join(dir, `${name}.key`)) };
  };
  try {
    openssl('req', '-x509', ...newKey, '-subj', '/CN=authority', '-days', '1', '-keyout', 'ca.key', '-out', 'ca.crt');
    const server = certified('broker', 'subjectAltName=IP:127.0.0.1');
    const client = certified('device', 'extendedKeyUsage=clientAuth');
    return { ca: readFileSync(join(dir, 'ca.crt')), server, client };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
