import { fuzz } from './fuzz.ts';
import { SPOOL, STATE } from './targets/files.ts';

fuzz(SPOOL);
fuzz(STATE);
