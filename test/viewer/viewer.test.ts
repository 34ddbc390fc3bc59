// The demonstration as a person sees it: its container's processes in a browser, a process's waterfall, and a file's
// attributes. Pictures go to build/viewer, and with PICTURES to that folder.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanEnvironment, whyNoKernelTests } from '../helpers/collector-process.ts';
import { whyNoContainers } from '../helpers/container.ts';
import { Chromium, whyNoChromium, type Page } from './chromium.ts';

const skip = whyNoChromium() ?? whyNoKernelTests() ?? whyNoContainers('runc') ?? false;
const repository = join(import.meta.dirname, '../..');
const pictures = process.env.PICTURES ?? join(repository, 'build/viewer');
const [WIDTH, HEIGHT] = [1280, 800];
/** Slices of the demonstration are 5 s, and roots follow 5 s later. */
const ROOT_TIMEOUT_MS = 60_000;

/** The viewer draws itself below one element's shadow. */
const VIEW = `[...document.querySelectorAll('*')].find(({ shadowRoot }) => shadowRoot)?.shadowRoot`;
const ROWS = `[...(${VIEW}?.querySelectorAll('[role=option]') ?? [])]`;
/** Elements that hold nothing but this text. */
const leaves = (text: RegExp): string =>
  `[...${VIEW}.querySelectorAll('*')].filter((it) => it.children.length === 0 && ${String(text)}.test(it.textContent.trim()))`;
const TEXT = `(${VIEW}?.querySelector('div')?.innerText ?? '')`;

interface ShownTrace {
  readonly traceId: string;
  readonly partial?: boolean;
  readonly rootSpan: { readonly name: string };
}

describe('the demonstration in a browser', { skip }, () => {
  let address = '';
  let endDemo = async (): Promise<void> => {};
  let chromium: Chromium;
  let page: Page;

  before(async () => {
    await mkdir(pictures, { recursive: true });
    const demo = spawn(process.execPath, [join(repository, 'scripts/demo.ts'), '--seconds', '180'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    });
    const said: string[] = [];
    demo.stderr.on('data', (text) => said.push(String(text)));
    const ended = once(demo, 'close');
    endDemo = async () => {
      demo.kill('SIGINT');
      const [code] = (await ended) as [number | null];
      assert.equal(code, 0, said.join(''));
    };
    for await (const line of createInterface({ input: demo.stdout })) {
      said.push(`${line}\n`);
      address = /^look at +(http\S+)/.exec(line)?.[1] ?? '';
      if (address !== '') break;
    }
    demo.stdout.on('data', (text) => said.push(String(text))).resume();
    assert.notEqual(address, '', said.join(''));
    await untilRoots(address, ['process sh', 'process cat', 'process grep', 'process cp']);
    chromium = await Chromium.start();
    page = await chromium.open(address, WIDTH, HEIGHT);
    await page.waitFor(`${ROWS}.length > 10`);
  });

  after(async () => {
    await chromium?.stop();
    await endDemo();
  });

  test('the list shows each process by its name, and failed opens as errors', async () => {
    const rows = await page.evaluate<string[]>(`${ROWS}.map(({ textContent }) => textContent)`);
    for (const name of ['cat', 'grep', 'cp'])
      assert.ok(
        rows.some((row) => row.includes(`process ${name}`)),
        `${name} is in the list:\n${rows.join('\n')}`,
      );
    const refused = rows.filter((row) => row.includes('ERROR'));
    assert.ok(
      refused.length > 0 && refused.every((row) => /process cat|open \/etc\/shadow/.test(row)),
      `/etc/shadow is refused, and nothing else:\n${refused.join('\n')}`,
    );
    const strangers = rows.filter((row) => !/fdspan-demo|fdspan start/.test(row));
    assert.deepEqual(strangers, [], 'each is of the container, but for the start of fdspan');
    await page.picture(join(pictures, 'list.png'));
  });

  test("a process's waterfall has its root above, and its files below in the order of their opens", async () => {
    await page.click(
      `[...${VIEW}.querySelectorAll('button')].find(({ innerText }) => innerText.trim() === 'Spans')`,
    );
    const row = `${ROWS}.find(({ textContent }) => /process sh/.test(textContent) && !/partial/.test(textContent))`;
    await page.click(row);
    await page.waitFor(`/Back to traces/.test(${TEXT})`);
    const text = await page.evaluate<string>(TEXT);
    const names = text.split('\n').filter((line) => /^(process|open) /.test(line));
    assert.equal(names[0], 'process sh');
    for (const path of ['app.conf', 'orders/order-*.json', 'access.log', 'session.lock', 'stats.txt'])
      assert.ok(names.includes(`open /tmp/app/${path}`), `${path} is below:\n${names.join('\n')}`);
    await page.picture(join(pictures, 'waterfall.png'));
  });

  test('a file tells its path, who opened it and how, how it ended, and in which container', async () => {
    // The second one: the first may have been open when fdspan started.
    await page.click(`${leaves(/^open \/tmp\/app\/session\.lock$/)}[1]`);
    const text = await page.waitFor<string>(`/fdspan.access/.test(${TEXT}) && ${TEXT}`);
    const expected = {
      'file.path': '/tmp/app/session.lock',
      'fdspan.access': 'write',
      'fdspan.close.reason': 'close',
      'process.executable.name': 'busybox',
      'thread.name': 'sh',
      'process.user.id': '1000',
      'container.name': 'fdspan-demo',
      'container.image.name': 'localhost/fdspan-busybox',
    };
    for (const [key, value] of Object.entries(expected))
      assert.equal(valueBelow(text, key), value, `${key} in:\n${text}`);
    await page.resize(WIDTH, 1000);
    await page.evaluate(`${leaves(/^fdspan\.open\.flags$/)}.at(-1).scrollIntoView({ block: 'start' })`);
    await page.picture(join(pictures, 'file.png'));
  });
});

/** The panel shows a name, its type, where it comes from, and its value, in a line each. */
function valueBelow(text: string, key: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const at = lines.lastIndexOf(key);
  return lines.slice(at + 1).find((line) => !/^(string|number|boolean|array|resource|)$/.test(line));
}

/** Resolves when the viewer holds a whole trace of each of these names. */
async function untilRoots(address: string, names: readonly string[]): Promise<void> {
  const deadlineMs = performance.now() + ROOT_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(new URL('v1/traces', address));
    const { traces } = (await answer.json()) as { traces: readonly ShownTrace[] };
    const whole = new Set(
      traces.filter(({ partial }) => partial !== true).map(({ rootSpan }) => rootSpan.name),
    );
    if (names.every((name) => whole.has(name))) return;
    if (performance.now() > deadlineMs)
      throw new Error(`the viewer has whole traces of ${[...whole].join(', ')}`);
    await delay(500);
  }
}
