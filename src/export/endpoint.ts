// Reads `export.endpoint` as the OTLP exporter specification does.
import { maskUrlSecrets } from '../model/url-secrets.ts';
import type { ExportOptions } from './export-options.ts';

/** Reason: enough to know it again in a message. */
const SHOWN_CHARS_MAX = 200;

export interface Endpoint {
  readonly url: URL;
  readonly isSecure: boolean;
  /** On this host: compression would cost more than it saves. */
  readonly isLoopback: boolean;
  /** For logs: without user, password and query. */
  readonly display: string;
}

/** Thrown for an endpoint that can't be sent to. */
export class EndpointError extends Error {
  readonly code = 'BAD_ENDPOINT';
}

/**
 * Returns where to send. Without a scheme it is https; the scheme decides over the TLS files. For
 * http/protobuf an empty path becomes /v1/traces unless the endpoint is exact; for grpc the path is the
 * method's and any other is refused. Throws an EndpointError, without the user and password of the URL.
 */
export function parseEndpoint(
  endpoint: string,
  protocol: ExportOptions['protocol'],
  isExact = false,
): Endpoint {
  const text = endpoint.trim();
  const shown = JSON.stringify(maskUrlSecrets(text).slice(0, SHOWN_CHARS_MAX));
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  // The URL standard takes a lone number for an IPv4 address; it is a port without its host.
  if (url === null || url.hostname === '' || /^\d+$/.test(text)) {
    throw new EndpointError(`endpoint ${shown} is no address: write http://host:port or https://host:port`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new EndpointError(`endpoint ${shown} has scheme "${url.protocol}": use http:// or https://`);
  }
  const hasPath = url.pathname !== '' && url.pathname !== '/';
  if (protocol === 'grpc' && hasPath) {
    throw new EndpointError(
      `endpoint ${shown} has a path, which grpc has no place for: leave it out, or take http/protobuf as protocol`,
    );
  }
  if (protocol === 'http/protobuf' && !hasPath && !isExact) url.pathname = '/v1/traces';
  return {
    url,
    isSecure: url.protocol === 'https:',
    isLoopback: isLoopbackHost(url.hostname),
    display: `${url.protocol}//${url.host}${protocol === 'grpc' ? '' : url.pathname}`,
  };
}

/** The host as sockets and certificates name it: an IPv6 address without the brackets that URL keeps. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** The port, also where it is left out as that of the scheme. */
export function portOf({ protocol, port }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80');
}

/** Whether a URL's hostname is this host, whatever DNS says. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
