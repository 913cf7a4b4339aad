/** The files of the live page. `page/` lies beside this file, in the checkout and in the published package. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** Only what the page loads of the chart library. */
const chartFiles = new Set(['/uPlot.esm.js', '/uPlot.min.css']);

export async function servePage(http: FastifyInstance): Promise<void> {
  const chartFolder = join(dirname(createRequire(import.meta.url).resolve('uplot/package.json')), 'dist');
  await http.register(fastifyStatic, { root: join(import.meta.dirname, 'page'), cacheControl: false });
  await http.register(fastifyStatic, {
    root: chartFolder,
    prefix: '/vendor/uplot/',
    decorateReply: false,
    index: false,
    cacheControl: false,
    allowedPath: (path) => chartFiles.has(path),
  });
}
