// A backend as a process of its own, that can be killed: a real receiver, which writes each accepted request to a file of its
// own before it answers. Arguments: protocol, port, folder, and where it dies by itself: `never`, `in-request N` or `before-answer N`,
// of its Nth request.
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { startReceiver, type Behaviour } from './otlp-receiver.ts';

const [, , protocol, port, folder, death = 'never', nth = '0'] = process.argv;
const file = openSync(join(folder, String(process.pid)), 'wx');
const before = Array.from({ length: Number(nth) - 1 }, (): Behaviour => ({ type: 'accept' }));
let taken = 0;

await startReceiver({
  protocol: protocol as 'grpc' | 'http/protobuf',
  port: Number(port),
  decode: 'count',
  behaviours: death === 'in-request' ? [...before, { type: 'die' }] : [],
  watch: (request) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(request.length);
    writeSync(file, Buffer.concat([length, request]));
    taken += 1;
    if (death === 'before-answer' && taken === Number(nth)) process.kill(process.pid, 'SIGKILL');
    process.stdout.write('taken\n');
  },
});
process.stdout.write('listening\n');
