/** Server-sent events, read as a browser's EventSource reads them. */
export interface EventStream {
  readonly events: readonly { readonly name: string; readonly data: unknown }[];
  /** The data of all events of a name so far. */
  of(name: string): unknown[];
  /** Resolves when the server has ended it, or we have left. */
  readonly ended: Promise<void>;
  leave(): void;
}

/** Resolves with the answer to the request; its events come from then on. */
export async function openEventStream(url: string): Promise<{ response: Response; stream: EventStream }> {
  const leaving = new AbortController();
  const response = await fetch(url, { signal: leaving.signal });
  const events: { name: string; data: unknown }[] = [];
  const read = async () => {
    let rest = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const [event, data] = block.split('\n');
        events.push({ name: event!.replace('event: ', ''), data: JSON.parse(data!.replace('data: ', '')) });
      }
    }
  };
  const stream = {
    events,
    of: (name: string) => events.filter((event) => event.name === name).map(({ data }) => data),
    ended: read().catch(() => {}),
    leave: () => leaving.abort(),
  };
  return { response, stream };
}
