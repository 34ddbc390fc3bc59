// What can be told of headers and of credentials' files before anything is sent. Runs at start only; the files
// may change later, and are then read by credentials.ts.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { CredentialError, parseHeaders } from './credentials.ts';
import type { TlsPaths } from './export-options.ts';
import { FILE_BYTES_MAX } from './watched-file.ts';

/** What is wrong with an option, by the name of its configuration key. */
export interface OptionProblem {
  readonly key: string;
  readonly message: string;
}

/** Headers that the protocols themselves set, or that HTTP/2 refuses. */
const OWN_HEADERS =
  /^(content-(type|length|encoding)|transfer-encoding|connection|keep-alive|proxy-connection|upgrade|http2-settings|te|grpc-.*)$/i;

/** Throws an Error that names neither the header's value nor a name that may hold one. */
export function checkHeader(name: string, value: string): void {
  try {
    validateHeaderName(name);
  } catch {
    throw new Error('under a name of letters, digits and hyphens');
  }
  if (OWN_HEADERS.test(name)) throw new Error('left out: the protocol sets this header itself');
  try {
    validateHeaderValue(name, value);
  } catch {
    throw new Error('text without line ends and control characters, in Latin-1');
  }
}

/** Returns what is wrong with the files of certificates and keys. */
export function tlsProblems(tls: TlsPaths): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const read = <T>(name: keyof TlsPaths, parse: (content: Buffer) => T, what: string): T | null => {
    const path = tls[name];
    if (path === null) return null;
    const key = `export.tls.${name}`;
    let content: Buffer;
    try {
      content = readSmall(path);
    } catch (error) {
      problems.push({ key, message: `reading ${path}: ${(error as Error).message}` });
      return null;
    }
    try {
      return parse(content);
    } catch {
      problems.push({ key, message: `${path} holds no ${what} in PEM` });
      return null;
    }
  };
  read('ca', (content) => new X509Certificate(content), 'certificate');
  const cert = read('cert', (content) => new X509Certificate(content), 'certificate');
  const key = read('key', (content) => createPrivateKey(content), 'private key without a passphrase');
  if (cert !== null && key !== null && !cert.checkPrivateKey(key)) {
    const message = `the key of ${tls.key} isn't that of the certificate of ${tls.cert}`;
    problems.push({ key: 'export.tls.key', message });
  }
  return problems;
}

/** Returns what is wrong with the file of headers. */
export function headersFileProblems(path: string | null): OptionProblem[] {
  const key = 'export.headers_file';
  if (path === null) return [];
  try {
    parseHeaders(readSmall(path).toString(), path);
    return [];
  } catch (error) {
    const { message } = error as Error;
    return [{ key, message: error instanceof CredentialError ? message : `reading ${path}: ${message}` }];
  }
}

function readSmall(path: string): Buffer {
  const { size } = statSync(path);
  if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
  return readFileSync(path);
}
