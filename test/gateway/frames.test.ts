import { describe, expect, it } from 'vitest';
import { FrameReader, type FrameRun } from '../../gateway/frames.ts';
import { connectPacket, disconnect, frame, pingreq, publishPacket, pubrel } from './raw-client.ts';

function reader(maxPacketBytes = 1000) {
  const runs: FrameRun[] = [];
  let pings = 0;
  const frames = new FrameReader(maxPacketBytes, () => pings++);
  return { frames, runs, read: (bytes: Buffer) => frames.read(bytes, runs), pings: () => pings };
}

const bytesOf = (runs: readonly FrameRun[]) => Buffer.concat(runs.map(({ bytes }) => bytes));

describe('FrameReader', () => {
  const packets = [
    publishPacket({ payload: 'x'.repeat(300) }),
    publishPacket({ payload: '' }),
    pubrel(7),
    publishPacket({ qos: 2, id: 9 }),
  ];

  it('gives the same packets wherever the network cuts them', () => {
    const stream = Buffer.concat([connectPacket(), ...packets]);
    for (let cut = 1; cut < stream.length; cut++) {
      const { runs, read } = reader();
      read(stream.subarray(0, cut));
      read(stream.subarray(cut));
      expect(bytesOf(runs).equals(stream), `cut at ${cut}`).toBe(true);
    }
  });

  it('gives the same packets when every byte comes alone', () => {
    const stream = Buffer.concat([connectPacket(), ...packets]);
    const { runs, read } = reader();
    for (const byte of stream) read(Buffer.from([byte]));
    expect(bytesOf(runs).equals(stream)).toBe(true);
  });

  it('gives only whole packets', () => {
    const { runs, read } = reader();
    read(connectPacket());
    read(publishPacket({ payload: 'x'.repeat(200) }).subarray(0, 100));
    expect(runs).toHaveLength(1);
  });

  it('gives the first packet alone, so that nothing is handed on before the client is accepted', () => {
    const { runs, read } = reader();
    read(Buffer.concat([connectPacket(), packets[0]!]));
    expect(runs.map(({ bytes }) => bytes)).toEqual([connectPacket(), packets[0]]);
  });

  it('takes out every PINGREQ of an accepted client, wherever it is cut', () => {
    const stream = Buffer.concat([pingreq(), packets[0]!, pingreq(), pingreq(), packets[1]!, pingreq()]);
    for (let cut = 1; cut < stream.length; cut++) {
      const { frames, runs, read, pings } = reader();
      read(connectPacket());
      frames.answersPings = true;
      runs.length = 0;
      read(stream.subarray(0, cut));
      read(stream.subarray(cut));
      expect(pings()).toBe(4);
      expect(bytesOf(runs).equals(Buffer.concat([packets[0]!, packets[1]!])), `cut at ${cut}`).toBe(true);
    }
  });

  it('leaves a PINGREQ to the broker before the client is accepted', () => {
    const { runs, read, pings } = reader();
    read(Buffer.concat([connectPacket(), pingreq()]));
    expect(pings()).toBe(0);
    expect(bytesOf(runs).equals(Buffer.concat([connectPacket(), pingreq()]))).toBe(true);
  });

  it('begins a run with each PUBREL and names its packet id', () => {
    const { runs, read } = reader();
    read(Buffer.concat([connectPacket(), packets[0]!, pubrel(7), packets[1]!, pubrel(513)]));
    expect(runs.map(({ pubrel: id }) => id)).toEqual([null, null, 7, 513]);
  });

  it('remembers that the client said goodbye', () => {
    const { frames, read } = reader();
    read(Buffer.concat([connectPacket(), disconnect()]));
    expect(frames.sawDisconnect).toBe(true);
  });

  it('takes a packet of exactly the limit and refuses one byte more at its header', () => {
    const { runs, read } = reader(130);
    const fits = frame(0x30, Buffer.alloc(127));
    const larger = frame(0x30, Buffer.alloc(128));
    read(connectPacket());
    expect(() => read(fits)).not.toThrow();
    expect(runs).toHaveLength(2);
    expect(() => read(larger.subarray(0, 3))).toThrow(/131 bytes is over the limit of 130/);
  });

  it('refuses a remaining length of more than four bytes', () => {
    const { read } = reader();
    expect(() => read(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff]))).toThrow(/more than four bytes/);
  });

  it('refuses a PINGREQ with a body', () => {
    const { frames, read } = reader();
    read(connectPacket());
    frames.answersPings = true;
    expect(() => read(frame(0xc0, Buffer.from([1])))).toThrow(/PINGREQ/);
  });
});
