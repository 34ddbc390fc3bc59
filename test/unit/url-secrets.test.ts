import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskUrlSecrets } from '../../src/model/url-secrets.ts';

test('user, password and query of an address are masked, whatever the password holds', () => {
  assert.equal(maskUrlSecrets('http://u:p@ss@host:4317'), 'http://***@host:4317');
  assert.equal(maskUrlSecrets('http://u:pa/ss@host:1/x'), 'http://***@host:1/x');
  assert.equal(maskUrlSecrets('https://host/v1?key=secret'), 'https://host/v1?***');
  assert.equal(maskUrlSecrets('http://host:4318/v1/traces'), 'http://host:4318/v1/traces');
});
