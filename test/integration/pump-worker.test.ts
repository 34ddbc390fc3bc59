import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import protobuf from 'protobufjs';
import { encodeResource } from '../../src/encode/resource.ts';
import { readCounters } from '../../src/model/counters.ts';
import type { FromPump, ToPump } from '../../src/model/pump-messages.ts';
import { makePumpOptions } from '../helpers/pump-parts.ts';
import { createTestRing, pairRecord, wake } from '../helpers/ring-memory.ts';

const PROTO = `syntax = "proto3";
message Any { oneof v { string s = 1; bool b = 2; int64 i = 3; } } message KV { string key = 1; Any value = 2; }
message Status { string message = 2; int32 code = 3; }
message Span { bytes trace_id = 1; bytes span_id = 2; string name = 5; int32 kind = 6; fixed64 start = 7; fixed64 end = 8; repeated KV attributes = 9; Status status = 15; }
message Scope { string name = 1; string version = 2; } message SS { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
message Res { repeated KV attributes = 1; } message RS { Res resource = 1; repeated SS ss = 2; } message Req { repeated RS rs = 1; }`;

test('the worker turns records of an unknown scope into a sealed request once the verdict arrives', async () => {
  const ring = createTestRing(65536);
  const options = makePumpOptions({
    consumerAddress: ring.consumerAddress,
    producerAddress: ring.producerAddress,
    ringBytes: 65536,
  });
  const { eventFd, counters, buffers } = options;
  const worker = new Worker(new URL('../../src/pump-worker.ts', import.meta.url));
  worker.postMessage(options);
  const send = (message: ToPump): void => {
    worker.postMessage(message);
    wake(eventFd);
  };
  const requests: Uint8Array[] = [];
  let drained = 0;
  const done = new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: FromPump) => {
      if (message.type === 'failed') reject(new Error(message.stack));
      if (message.type === 'request') requests.push(new Uint8Array(buffers[message.index], 0, message.bytes));
      if (message.type === 'scope-unknown') {
        send({
          type: 'container',
          update: {
            slot: 5,
            resourceBytes: encodeResource({ 'service.name': 'web' }),
            namespaces: new Uint32Array(7),
          },
        });
        send({
          type: 'scope',
          verdict: { scopeLo: message.scopeLo, scopeHi: message.scopeHi, verdict: 'trace', slot: 5 },
        });
        // Two callers may wait for the same drain.
        send({ type: 'drain' });
        send({ type: 'drain' });
        send({ type: 'stop' });
      }
      if (message.type === 'drained') drained += 1;
      if (message.type === 'stopped') resolve();
    });
  });
  ring.write(pairRecord('/data/123/a.txt'));
  ring.write(new Uint8Array(40));
  ring.write(
    pairRecord(Uint8Array.of(0x2f, 0xff), (view) => {
      view.setInt32(124, -13, true);
      view.setUint8(1, 0);
    }),
  );
  await done;
  assert.equal(drained, 2);
  const values = readCounters(new Float64Array(counters));
  assert.deepEqual(
    [values.records_read, values.spans_encoded, values.record_invalid, values.waiting],
    [3, 2, 1, 0],
  );
  const request = protobuf.parse(PROTO).root.lookupType('Req').decode(requests[0]).toJSON();
  const [{ resource, ss }] = request.rs;
  assert.equal(resource.attributes[0].value.s, 'web');
  const of = (span: { attributes: { key: string; value: Record<string, unknown> }[] }) =>
    Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value ?? {})[0]]));
  const [first, failed] = ss[0].spans.filter(({ name }: { name: string }) => name.startsWith('open '));
  assert.equal(first.name, 'open /data/*/a.txt');
  assert.equal(BigInt(first.end) - BigInt(first.start), 2_000_000_001n);
  const attributes = of(first);
  assert.equal(attributes['file.path'], '/data/123/a.txt');
  assert.equal(attributes['fdspan.open.flags'], 'O_RDWR|O_CREAT');
  assert.equal(attributes['file.inode'], '18446744073709551615');
  assert.equal(attributes['file.mode'], '0644');
  assert.equal(attributes['fdspan.file.device'], '8:1');
  assert.equal(attributes['file.directory'], '/data/123');
  assert.equal(attributes['process.pid'], '4242');
  assert.equal(of(failed)['file.path'], '/\\xff');
  assert.deepEqual(failed.status, { message: 'EACCES', code: 2 });
});
