import { fuzz } from './fuzz.ts';
import { EXPORT } from './targets/export.ts';

fuzz(EXPORT);
