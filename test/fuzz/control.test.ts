import { after } from 'node:test';
import { fuzz } from './fuzz.ts';
import { closeControl, CONTROL } from './targets/control.ts';

after(closeControl);
fuzz(CONTROL);
