import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEndpoint } from '../../src/export/endpoint.ts';
import { proxyFor } from '../../src/export/proxy.ts';

const HTTP = { http_proxy: 'http://plain:1' };
const HTTPS = { https_proxy: 'http://secure:2' };

function hostOf(
  endpoint: string,
  variables: Record<string, string>,
  protocol = 'http/protobuf',
): string | null {
  const of = protocol as 'grpc' | 'http/protobuf';
  return proxyFor(parseEndpoint(endpoint, of), of, variables)?.url?.host ?? null;
}

test("the endpoint's scheme chooses the proxy's variable; grpc takes HTTPS_PROXY first", () => {
  assert.equal(hostOf('http://b', { ...HTTP, ...HTTPS }), 'plain:1');
  assert.equal(hostOf('https://b', { ...HTTP, ...HTTPS }), 'secure:2');
  assert.equal(hostOf('http://b', HTTPS), null);
  assert.equal(hostOf('https://b', HTTP), null);
  assert.equal(hostOf('http://b:4317', { ...HTTP, ...HTTPS }, 'grpc'), 'secure:2');
  assert.equal(hostOf('http://b:4317', HTTP, 'grpc'), 'plain:1');
  assert.equal(hostOf('https://b:4317', HTTP, 'grpc'), null);
});

test('small letters go before capitals, an empty variable is none, and a scheme may be missing', () => {
  assert.equal(hostOf('http://b', { http_proxy: 'a:1', HTTP_PROXY: 'c:2' }), 'a:1');
  assert.equal(hostOf('http://b', { http_proxy: '', HTTP_PROXY: 'c:2' }), 'c:2');
  assert.equal(hostOf('http://b', { http_proxy: '' }), null);
});

test('loopback never goes through a proxy', () => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]'])
    assert.equal(hostOf(`http://${host}:4318`, HTTP), null, host);
});

test("NO_PROXY leaves out names, addresses, networks and ports as Go's programs do", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', 'http://b.example', true],
    ['b.example', 'http://b.example', true],
    ['B.Example', 'http://b.example', true],
    ['example', 'http://b.example', true],
    ['ample', 'http://b.example', false],
    ['.example', 'http://b.example', true],
    ['.b.example', 'http://b.example', false],
    ['*.example', 'http://b.example', true],
    ['a.example, b.example', 'http://b.example', true],
    ['b.example:4318', 'http://b.example:4318', true],
    ['b.example:4318', 'http://b.example:4319', false],
    ['b.example:80', 'http://b.example', true],
    ['10.1.2.3', 'http://10.1.2.3', true],
    ['10.1.2.3', 'http://10.1.2.30', false],
    ['10.0.0.0/8', 'http://10.1.2.3', true],
    ['10.0.0.0/16', 'http://10.1.2.3', false],
    ['10.0.0.0/99', 'http://10.1.2.3', false],
    ['10.0.0.0/8', 'http://b.example', false],
    ['fd00::/8', 'http://[fd00::1]:4318', true],
    ['fd00::1', 'http://[fd00::1]:4318', true],
    ['[fd00::1]:4318', 'http://[fd00::1]:4318', true],
    ['[fd00::1]:4319', 'http://[fd00::1]:4318', false],
    ['', 'http://b.example', false],
    [',,', 'http://b.example', false],
  ];
  for (const [list, endpoint, isLeftOut] of cases)
    assert.equal(
      hostOf(endpoint, { ...HTTP, no_proxy: list }) === null,
      isLeftOut,
      `${list} for ${endpoint}`,
    );
});

test("a proxy's name in the log has no password, and a value that is no address is told", () => {
  const endpoint = parseEndpoint('http://b', 'http/protobuf');
  const proxy = proxyFor(endpoint, 'http/protobuf', { http_proxy: 'http://me:hunter2@p:3128' });
  assert.equal(proxy?.display, 'HTTP_PROXY http://p:3128');
  assert.equal(proxy?.headers['proxy-authorization'], 'Basic bWU6aHVudGVyMg==');
  assert.equal(proxyFor(endpoint, 'http/protobuf', { http_proxy: 'socks5://p:1' })?.url, null);
});
