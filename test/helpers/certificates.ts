// Certificates for one test: an authority, a server's for 127.0.0.1 and localhost, a client's, and a
// stranger's authority.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly folder: string;
  /** PEM file of the authority that signed `server` and `client`. */
  readonly ca: string;
  readonly server: CertificateFiles;
  readonly client: CertificateFiles;
  /** Signed by the same authority, for another host's name. */
  readonly wrongName: CertificateFiles;
  /** PEM file of an authority that signed none of them. */
  readonly strangerCa: string;
  remove(): void;
}

/** Makes them with openssl in a new folder; they are good for a day. */
export function createCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-certificates-'));
  const openssl = (...words: string[]): void =>
    void execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = (name: string): string => {
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '1',
      '-subj',
      `/CN=${name}`,
    );
    return join(folder, `${name}.pem`);
  };
  const ca = authority('ca');
  const signed = (name: string, altNames: string): CertificateFiles => {
    openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${altNames}\n`);
    const by = [
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '1',
      '-extfile',
      `${name}.ext`,
    ];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
    return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  };
  return {
    folder,
    ca,
    server: signed('server', 'IP:127.0.0.1,DNS:localhost'),
    client: signed('client', 'DNS:client'),
    wrongName: signed('wrong-name', 'DNS:elsewhere.example'),
    strangerCa: authority('stranger'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
