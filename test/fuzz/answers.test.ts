import { fuzz } from './fuzz.ts';
import { GRPC_ANSWER, HTTP_ANSWER } from './targets/answers.ts';

fuzz(HTTP_ANSWER);
fuzz(GRPC_ANSWER);
