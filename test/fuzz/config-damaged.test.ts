import { fuzz } from './fuzz.ts';
import { CONFIG_DAMAGED } from './targets/config.ts';

fuzz(CONFIG_DAMAGED);
