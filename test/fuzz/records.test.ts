import { fuzz } from './fuzz.ts';
import { ENGINES } from './targets/engines.ts';
import { SCOPE_RECORDS } from './targets/scope-records.ts';

fuzz(SCOPE_RECORDS);
fuzz(ENGINES);
