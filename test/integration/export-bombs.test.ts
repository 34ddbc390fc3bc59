// Answers that are far larger than they have a right to be, or would be once decompressed.
import assert from 'node:assert/strict';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { pipeline, Readable, type Writable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ExportHarness, exportRequest } from '../helpers/export-harness.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
/** What a socket takes before its reader has read anything, with a wide margin. */
const BUFFERED_BYTES_MAX = 64 * MIB;

/** 10 GiB of zeros as gzip: members one behind the other, which gzip reads as one text. */
function bomb(): Buffer {
  const member = gzipSync(Buffer.alloc(64 * MIB), { level: 9 });
  return Buffer.concat(Array.from({ length: (10 * GIB) / (64 * MIB) }, () => member));
}

async function listen(t: TestContext, server: Server | http2.Http2Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Writes for ever; resolves with how much was taken when the other end had enough. */
function writeForEver(into: Writable): Promise<number> {
  let bytes = 0;
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  const endless = new Readable({
    read() {
      bytes += chunk.length;
      this.push(chunk);
    },
  });
  return new Promise((resolve) => pipeline(endless, into, () => resolve(bytes)));
}

/** Sends one request to a backend, and returns by how much the process grew meanwhile. */
async function send(t: TestContext, endpoint: string): Promise<[ExportHarness, number]> {
  const harness = new ExportHarness({ protocol: 'http/protobuf', endpoint, timeoutMs: 60_000 });
  t.after(() => harness.exporter.close());
  const before = process.memoryUsage.rss();
  await harness.give(exportRequest(10), 10);
  await harness.end(20_000);
  return [harness, process.memoryUsage.rss() - before];
}

test('http/protobuf: an answer of gzip that stands for 10 GiB is not decompressed', async (t) => {
  const body = bomb();
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' });
      response.end(body);
    });
  });
  const [harness, grownBytes] = await send(t, await listen(t, server));
  server.closeAllConnections();
  assert.equal(harness.counters.spans_accepted, 10, '200 means that they were taken');
  assert.equal(harness.warnings(/with a remark/).length, 1);
  assert.ok(grownBytes < 256 * MIB, `${grownBytes} bytes`);
});

test('http/protobuf: an answer without an end is read for 64 KiB', async (t) => {
  const written = Promise.withResolvers<number>();
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      void writeForEver(response).then(written.resolve);
    });
  });
  const [harness] = await send(t, await listen(t, server));
  assert.ok((await written.promise) < BUFFERED_BYTES_MAX);
  assert.equal(harness.counters.spans_accepted, 10);
});

test('grpc: a compressed answer is not decompressed, and one without an end not read', async (t) => {
  const body = bomb();
  const prefix = Buffer.alloc(5);
  prefix[0] = 1;
  prefix.writeUInt32BE(body.length, 1);
  const written = Promise.withResolvers<number>();
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.resume().on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'gzip' });
      stream.write(prefix);
      stream.write(body);
      void writeForEver(stream).then(written.resolve);
    });
  });
  const harness = new ExportHarness({
    protocol: 'grpc',
    endpoint: await listen(t, server),
    timeoutMs: 60_000,
  });
  t.after(() => harness.exporter.close());
  const before = process.memoryUsage.rss();
  await harness.give(exportRequest(10), 10);
  assert.ok((await written.promise) < BUFFERED_BYTES_MAX);
  const grownBytes = process.memoryUsage.rss() - before;
  assert.ok(grownBytes < 256 * MIB, `${grownBytes} bytes`);
  // No answer that ends: it is sent again, and again, until the stop.
  await harness.end(50);
  assert.equal(harness.counters.shutdown, 10);
});
