// A headless Chromium, driven by its DevTools protocol over node's own WebSocket: opens pages, asks them, and takes
// pictures of them.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommand } from '../helpers/busybox-image.ts';

const START_TIMEOUT_MS = 30_000;
/** Reason: a page answers in milliseconds; the machine's cores are shared. */
const WAIT_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** Without Debian's sandbox, which root can't have; the page is the test's own, on loopback. */
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--hide-scrollbars',
  '--force-device-scale-factor=1',
  '--remote-debugging-port=0',
];

/** Returns why no browser can be started here, or null when one can. */
export function whyNoChromium(): string | null {
  return findCommand('chromium') === null ? "chromium isn't installed (apt-get install chromium)" : null;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#child = child;
    this.#folder = folder;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    });
  }

  /** Starts a browser with a profile of its own. */
  static async start(): Promise<Chromium> {
    const folder = await mkdtemp(join(tmpdir(), 'fdspan-chromium-'));
    const args = [...FLAGS, `--user-data-dir=${folder}`, 'about:blank'];
    const child = spawn('chromium', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    process.once('exit', () => child.kill('SIGKILL'));
    try {
      const socket = new WebSocket(await debuggerAddress(child));
      await once(socket, 'open');
      return new Chromium(child, folder, socket);
    } catch (error) {
      await endChild(child, folder);
      throw error;
    }
  }

  /** Opens a page of this size. */
  async open(address: string, width: number, height: number): Promise<Page> {
    const { targetId } = (await this.ask('Target.createTarget', { url: address })) as { targetId: string };
    const { sessionId } = (await this.ask('Target.attachToTarget', { targetId, flatten: true })) as {
      sessionId: string;
    };
    const page = new Page((method, parameters) => this.ask(method, parameters, sessionId));
    await page.resize(width, height);
    return page;
  }

  /** Calls a method of the protocol; of the browser, or of a page's session. */
  async ask(method: string, params: object = {}, sessionId?: string): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    const { result, error } = await answered;
    this.#waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await endChild(this.#child, this.#folder);
  }
}

export class Page {
  readonly #ask: (method: string, params: object) => Promise<unknown>;

  constructor(ask: (method: string, params: object) => Promise<unknown>) {
    this.#ask = ask;
  }

  async resize(width: number, height: number): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.#ask('Emulation.setDeviceMetricsOverride', metrics);
  }

  /** Returns the value of an expression in the page. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = (await this.#ask('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as { result: { value: Value }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails !== undefined)
      throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  }

  /** Resolves with the expression's value once it is true; rejects with the page's text when it isn't in time. */
  async waitFor<Value>(expression: string): Promise<Value> {
    const deadlineMs = performance.now() + WAIT_TIMEOUT_MS;
    for (;;) {
      const value = await this.evaluate<Value>(expression);
      if (value) return value;
      if (performance.now() > deadlineMs)
        throw new Error(`the page never shows ${expression}; it says:\n${await this.text()}`);
      await delay(POLL_MS);
    }
  }

  /** What a person can read. */
  text(): Promise<string> {
    return this.evaluate('document.body.innerText');
  }

  /** Clicks in the middle of the element that the expression gives. */
  async click(expression: string): Promise<void> {
    const { x, y } = await this.waitFor<{ x: number; y: number }>(`(() => {
      const element = ${expression};
      if (!element) return null;
      element.scrollIntoView({ block: 'center' });
      const box = element.getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`);
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.#ask('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
  }

  /** Writes what can be seen to a PNG. */
  async picture(path: string): Promise<void> {
    const { data } = (await this.#ask('Page.captureScreenshot', { format: 'png' })) as { data: string };
    await writeFile(path, Buffer.from(data, 'base64'));
  }
}

async function debuggerAddress(child: ChildProcess): Promise<string> {
  const said: string[] = [];
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  for await (const line of createInterface({ input: child.stderr! })) {
    said.push(line);
    const address = /^DevTools listening on (ws:.*)$/.exec(line)?.[1];
    if (address === undefined) continue;
    clearTimeout(timer);
    child.stderr!.resume();
    return address;
  }
  clearTimeout(timer);
  throw new Error(`chromium ended before it listened:\n${said.join('\n')}`);
}

async function endChild(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  // Helper processes of the browser may still write for a moment.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}
