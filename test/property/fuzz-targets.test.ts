// What `npm run test:fuzz` gives a million times, some hundred times: any bytes and damaged real ones, wherever bytes come
// from outside.
import { after, test } from 'node:test';
import { assertTarget, type FuzzTarget } from '../fuzz/fuzz.ts';
import { GRPC_ANSWER, HTTP_ANSWER } from '../fuzz/targets/answers.ts';
import { CONFIG_DAMAGED } from '../fuzz/targets/config.ts';
import { closeControl, CONTROL } from '../fuzz/targets/control.ts';
import { GRPC_RUNTIMES } from '../fuzz/targets/engines.ts';
import { SPOOL, STATE } from '../fuzz/targets/files.ts';
import { PUMP } from '../fuzz/targets/pump.ts';
import { REGISTRY } from '../fuzz/targets/registry.ts';
import { SCOPE_RECORDS } from '../fuzz/targets/scope-records.ts';
import { GRPC_WIRE, HTTP_WIRE } from '../fuzz/targets/wire.ts';

after(closeControl);

function quick<T>(runs: number, target: FuzzTarget<T>): void {
  test(`${target.title}: nothing breaks`, async () => void (await assertTarget(target, runs)));
}

quick(500, PUMP);
quick(1000, HTTP_ANSWER);
quick(1000, GRPC_ANSWER);
quick(100, HTTP_WIRE);
quick(100, GRPC_WIRE);
quick(100, CONTROL);
quick(1000, SCOPE_RECORDS);
quick(300, GRPC_RUNTIMES);
quick(300, REGISTRY);
quick(30, SPOOL);
quick(100, STATE);
quick(100, CONFIG_DAMAGED);
