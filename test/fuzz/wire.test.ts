import { fuzz } from './fuzz.ts';
import { GRPC_WIRE, HTTP_WIRE } from './targets/wire.ts';

fuzz(HTTP_WIRE);
fuzz(GRPC_WIRE);
