import { fuzz } from './fuzz.ts';
import { ENGINES, GRPC_RUNTIMES } from './targets/engines.ts';
import { REGISTRY } from './targets/registry.ts';
import { RUNTIME_STATES } from './targets/states.ts';
import { SCOPE_RECORDS } from './targets/scope-records.ts';

fuzz(SCOPE_RECORDS);
fuzz(ENGINES);
fuzz(GRPC_RUNTIMES);
fuzz(RUNTIME_STATES);
fuzz(REGISTRY);
