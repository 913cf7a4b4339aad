import { StoreUnavailableError } from '../../core/errors.ts';

/** One API request with a JSON answer; `null` where it answers a GET with 404. Rejects with StoreUnavailableError. */
export type RequestApi = (method: 'GET' | 'POST', path: string, body?: object) => Promise<unknown>;

export interface BucketSpec {
  readonly name: string;
  /** `null` = for ever. InfluxDB takes an hour at least. */
  readonly retentionMs: number | null;
}

export async function bucketExists(request: RequestApi, org: string, name: string): Promise<boolean> {
  const query = new URLSearchParams({ org, name });
  const answer = (await request('GET', `/api/v2/buckets?${query}`)) as { buckets?: { name: string }[] } | null;
  return answer?.buckets?.some((bucket) => bucket.name === name) ?? false;
}

/** Creates what is missing and leaves what exists as it is; returns what it created, in words. */
export async function createBuckets(request: RequestApi, org: string, specs: readonly BucketSpec[]): Promise<string[]> {
  const created: string[] = [];
  for (const { name, retentionMs } of specs) {
    if (await bucketExists(request, org, name)) continue;
    const everySeconds = retentionMs === null ? 0 : Math.ceil(retentionMs / 1000);
    const retentionRules = everySeconds === 0 ? [] : [{ type: 'expire', everySeconds }];
    const orgID = await organisationId(request, org);
    await request('POST', '/api/v2/buckets', { orgID, name, retentionRules });
    created.push(`bucket ${name}, kept ${everySeconds === 0 ? 'for ever' : `for ${everySeconds / 3600} h`}`);
  }
  return created;
}

async function organisationId(request: RequestApi, org: string): Promise<string> {
  const answer = (await request('GET', `/api/v2/orgs?${new URLSearchParams({ org })}`)) as {
    orgs?: { id: string }[];
  } | null;
  const id = answer?.orgs?.[0]?.id;
  if (id === undefined) throw new StoreUnavailableError(`InfluxDB has no organisation ${JSON.stringify(org)}`);
  return id;
}
