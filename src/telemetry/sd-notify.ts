// What systemd is told of the collector's state (sd_notify(3)): which text, when, and whether at all.
// The datagram itself is sent by the caller's function, since Node has no unix datagram sockets.

/** Sends one datagram to a unix socket; an abstract name starts with a NUL byte. May throw. */
export type SendDatagram = (socketPath: string, text: string) => void;

export interface SdNotifyOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly send: SendDatagram;
  /** Told once: notices can't be sent, and no more are tried. */
  readonly onError?: (error: unknown) => void;
  readonly pid?: number;
}

export interface SdNotifier {
  readonly isActive: boolean;
  /** Between two WATCHDOG=1 notices; null when systemd doesn't watch this process. */
  readonly watchdogIntervalMs: number | null;
  /** READY=1, once: attached and self-tested. */
  ready(status: string): void;
  status(text: string): void;
  /** STOPPING=1, once; ends the watchdog's notices. */
  stopping(): void;
  /**
   * Sends WATCHDOG=1 at each interval by whose end `turnedMs` has changed: the time of the pump's last turn.
   * It is compared with itself, not with a clock that may be stepped.
   */
  startWatchdog(turnedMs: () => number): void;
  /** Sends what `text` gives, every 10 s. */
  startStatus(text: () => string): void;
}

/** Reason: one line of `systemctl status`. */
const STATUS_CHARS_MAX = 200;

/** Reason: who looks at `systemctl status` twice wants to see a change; a datagram in 10 s costs nothing. */
const STATUS_INTERVAL_MS = 10_000;

/** sd_watchdog_enabled(3) asks for a notice at half the time. */
const WATCHDOG_SHARE = 0.5;

function socketOf(environment: SdNotifyOptions['environment']): string | null {
  const path = environment.NOTIFY_SOCKET ?? '';
  if (path.startsWith('/')) return path;
  return path.startsWith('@') ? `\0${path.slice(1)}` : null;
}

function watchdogMsOf(environment: SdNotifyOptions['environment'], pid: number): number | null {
  const watchedPid = environment.WATCHDOG_PID ?? '';
  if (watchedPid !== '' && watchedPid !== String(pid)) return null;
  const microseconds = Number(environment.WATCHDOG_USEC);
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return null;
  return Math.max(1, Math.floor((microseconds / 1000) * WATCHDOG_SHARE));
}

/** A newline would begin another assignment. */
function statusLine(text: string): string {
  // eslint-disable-next-line no-control-regex
  return `STATUS=${text.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, STATUS_CHARS_MAX)}`;
}

class Notifier implements SdNotifier {
  readonly watchdogIntervalMs: number | null;
  #socketPath: string | null;
  readonly #options: SdNotifyOptions;
  #isReady = false;
  #isStopping = false;
  #watchdogTimer: NodeJS.Timeout | null = null;
  #statusTimer: NodeJS.Timeout | null = null;

  constructor(options: SdNotifyOptions) {
    this.#options = options;
    this.#socketPath = socketOf(options.environment);
    this.watchdogIntervalMs =
      this.#socketPath === null ? null : watchdogMsOf(options.environment, options.pid ?? process.pid);
  }

  get isActive(): boolean {
    return this.#socketPath !== null;
  }

  ready(status: string): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#send(`READY=1\n${statusLine(status)}`);
  }

  status(text: string): void {
    this.#send(statusLine(text));
  }

  stopping(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const timer of [this.#watchdogTimer, this.#statusTimer]) if (timer !== null) clearInterval(timer);
    this.#send('STOPPING=1\nSTATUS=stopping');
  }

  startWatchdog(turnedMs: () => number): void {
    if (this.watchdogIntervalMs === null || this.#watchdogTimer !== null || this.#isStopping) return;
    let seenMs = turnedMs();
    this.#watchdogTimer = setInterval(() => {
      const nowMs = turnedMs();
      if (nowMs !== seenMs) this.#send('WATCHDOG=1');
      seenMs = nowMs;
    }, this.watchdogIntervalMs);
    this.#watchdogTimer.unref();
  }

  startStatus(text: () => string): void {
    if (!this.isActive || this.#statusTimer !== null || this.#isStopping) return;
    this.#statusTimer = setInterval(() => this.status(text()), STATUS_INTERVAL_MS);
    this.#statusTimer.unref();
  }

  #send(text: string): void {
    if (this.#socketPath === null) return;
    try {
      this.#options.send(this.#socketPath, text);
    } catch (error) {
      this.#socketPath = null;
      this.#options.onError?.(error);
    }
  }
}

/** Creates the notifier; without NOTIFY_SOCKET it says nothing and costs nothing. */
export function createSdNotifier(options: SdNotifyOptions): SdNotifier {
  return new Notifier(options);
}
