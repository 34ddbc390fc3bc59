// A backend as a process of its own, which may be killed at any time: the ids of the spans are in a file before their
// request is answered. Arguments: protocol, port (0: any), file. Prints its port.
import { openSync, writeSync } from 'node:fs';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { spanIdsOf } from '../helpers/span-bytes.ts';

const [protocol, port, path] = process.argv.slice(2);
const ids = openSync(path, 'a');
const receiver = await startReceiver({
  protocol: protocol as 'grpc' | 'http/protobuf',
  port: Number(port),
  decode: 'count',
  watch: (request) => void writeSync(ids, spanIdsOf(request)),
});
process.stdout.write(`${receiver.port}\n`);
