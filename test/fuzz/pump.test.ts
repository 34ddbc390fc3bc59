import { fuzz } from './fuzz.ts';
import { PUMP } from './targets/pump.ts';

fuzz(PUMP);
