#!/usr/bin/env node
// Starts the command line under a Node that can run it: this one when it is new enough, else the one that the npm
// package `node` brings along; and with the flags of Node that it is meant to run with.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';

const oldestMajor = 24;
const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const built = join(folder, 'dist', 'sluice.js');
// A checkout runs its sources; a published package has only what was built.
const source = join(folder, 'sluice.ts');
const program = existsSync(source) ? source : built;
const flags = [
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=TimeoutNegativeWarning',
  // Nearly all that is allocated dies young; left alone, the space for it grows to more than the rest of the heap.
  '--max-semi-space-size=16',
];

const node = findNode();
const args = [...flags, program, ...process.argv.slice(2)];
// Where this process can become the other one, signals and the exit code need no one to pass them on.
if (process.execve !== undefined && process.platform !== 'win32') process.execve(node, [node, ...args], process.env);
else runAsChild();

function runAsChild() {
  const child = spawn(node, args, { stdio: 'inherit' });
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) {
    // A terminal sends SIGINT to both; passing it on a second time would end the drain.
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !hasTerminal) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`sluice: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    // Ends as the child did; our own handlers must not stand in the way.
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= oldestMajor) return process.execPath;
  try {
    const bundled = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node');
    if (existsSync(bundled)) return bundled;
  } catch {
    // The package is not there: the message below says what to do.
  }
  console.error(
    `sluice: Node ${oldestMajor} is needed, this is ${process.version}. Install it, or allow the install script of the npm package "node" and install again.`,
  );
  process.exit(1);
}
