// The headers and TLS files of the requests, as they are now.
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { ExportOptions, TlsPaths } from './export-options.ts';
import { WatchedFile } from './watched-file.ts';

export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** A credential's file can't be used; the message says which and why, never what is in it. */
export class CredentialError extends Error {
  readonly code = 'BAD_CREDENTIAL';
}

export class Credentials {
  readonly #headers: Readonly<Record<string, string>>;
  readonly #headersFile: WatchedFile | null;
  readonly #tlsFiles: Partial<Record<keyof TlsPaths, WatchedFile>> = {};
  #tls: TlsMaterial = {};

  constructor(options: Pick<ExportOptions, 'headers' | 'headersFile' | 'tls'>) {
    this.#headers = lowerCaseNames(options.headers);
    this.#headersFile = options.headersFile === null ? null : new WatchedFile(options.headersFile);
    for (const name of ['ca', 'cert', 'key'] as const) {
      const path = options.tls[name];
      if (path !== null) this.#tlsFiles[name] = new WatchedFile(path);
    }
  }

  /** True when refused credentials may be renewed by themselves. */
  get canChange(): boolean {
    return this.#headersFile !== null;
  }

  /** Returns the headers with names in lower case. Throws a CredentialError. */
  async headers(): Promise<Readonly<Record<string, string>>> {
    if (this.#headersFile === null) return this.#headers;
    const content = await readCredential('export.headers_file', this.#headersFile);
    return { ...this.#headers, ...parseHeaders(content.toString(), this.#headersFile.path) };
  }

  /** Returns the TLS files' content: the same object until one of them changes. Throws a CredentialError. */
  async tls(): Promise<TlsMaterial> {
    const next: Record<string, Buffer> = {};
    for (const name of ['ca', 'cert', 'key'] as const) {
      const file = this.#tlsFiles[name];
      if (file !== undefined) next[name] = await readCredential(`export.tls.${name}`, file);
    }
    const current = this.#tls;
    if (next.ca !== current.ca || next.cert !== current.cert || next.key !== current.key) this.#tls = next;
    return this.#tls;
  }

  /** Called after the backend refused the headers: the file is looked at before the next request. */
  expire(): void {
    this.#headersFile?.expire();
  }
}

async function readCredential(key: string, file: WatchedFile): Promise<Buffer> {
  try {
    return await file.read();
  } catch (error) {
    throw new CredentialError(`reading ${key} ${file.path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads `Name: value` lines; empty lines and those that start with # are left out. */
export function parseHeaders(text: string, path: string): Record<string, string> {
  const headers: Record<string, string> = {};
  text.split('\n').forEach((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const colon = trimmed.indexOf(':');
    const name = trimmed.slice(0, colon).trim().toLowerCase();
    const value = trimmed.slice(colon + 1).trim();
    try {
      if (colon < 1) throw new Error('no colon');
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      // The line may be a bare token: it must not get into a log, nor the error that quotes it.
      throw new CredentialError(`export.headers_file ${path}, line ${index + 1} isn't "Name: value"`);
    }
    headers[name] = value;
  });
  return headers;
}

function lowerCaseNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
