import { test } from 'node:test';
import { FILE_BYTES_MAX } from '../../src/config/file-settings.ts';
import { largeConfigs } from '../helpers/large-configs.ts';
import { fuzz } from './fuzz.ts';
import { CONFIG_BYTES, CONFIG_WHOLE } from './targets/config.ts';

fuzz(CONFIG_BYTES);
fuzz(CONFIG_WHOLE);

test('the largest files are refused or loaded', async () => {
  for (const content of largeConfigs(FILE_BYTES_MAX, 150)) await CONFIG_WHOLE.judge(Buffer.from(content));
});
