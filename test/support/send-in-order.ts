/** A device that sends each of its messages until it is acknowledged, and only then the next, to whichever gateway there is. */
import { connectAsync, type MqttClient } from 'mqtt';
import { systemClock } from '../../core/clock.ts';

const retryAfterMs = 20;

export interface Sending {
  /** Of the gateway that there is now. */
  readonly port: () => number;
  /** The message number `seq`, counted from 0; `null` ends it. */
  readonly next: (seq: number) => { readonly topic: string; readonly payload: string } | null;
  readonly onAcknowledged: (seq: number) => void;
}

export async function sendInOrder({ port, next, onAcknowledged }: Sending): Promise<void> {
  let client: MqttClient | null = null;
  let seq = 0;
  for (let message = next(seq); message !== null; message = next(seq)) {
    try {
      client ??= await connectAsync(`mqtt://127.0.0.1:${port()}`, { reconnectPeriod: 0, connectTimeout: 2000 });
      await publish(client, message.topic, message.payload);
      onAcknowledged(seq++);
    } catch {
      client?.end(true);
      client = null;
      await systemClock.sleep(retryAfterMs);
    }
  }
  await client?.endAsync();
}

/** Rejects when the connection ends first: then nobody knows, and the device sends again. */
export function publish(client: MqttClient, topic: string, payload: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error('closed'));
    client.once('close', onClose);
    client.on('error', onClose);
    client.publish(topic, payload, { qos: 1 }, (error) => {
      client.off('close', onClose);
      client.off('error', onClose);
      if (error) reject(error);
      else resolve();
    });
  });
}
