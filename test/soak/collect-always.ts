// Loaded into the collector before its own code: each collection is one of the whole heap. Else what is used between two
// of those, which small heaps leave a quarter of an hour apart, is mostly garbage, and grows as a leak would.
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--gc-global');
