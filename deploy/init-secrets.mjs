// Writes a random secret to each file that is not there yet. Runs once, before everything that reads one of them; what
// exists is left, because InfluxDB and Grafana take theirs only at their first start.
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
for (const name of ['influx-token', 'influx-password', 'grafana-password', 'commands-token']) {
  const file = join(folder, name);
  if (existsSync(file)) continue;
  // Readable by the users that the other images run as; the volume is theirs alone.
  writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o444 });
  console.log(`wrote ${name}`);
}

// The users of the gateway and their passwords: written and read by our own images alone, as their user `node`.
const mqtt = join(folder, 'mqtt');
mkdirSync(mqtt, { recursive: true, mode: 0o700 });
chownSync(mqtt, 1000, 1000);
