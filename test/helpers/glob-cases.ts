// Globs with paths that they match and others that they don't, written by hand.

export const MATCHING: readonly (readonly [
  glob: string,
  matching: readonly string[],
  other: readonly string[],
])[] = [
  ['**/*.so', ['/lib/x.so', '/x.so', 'x.so', '/.so'], ['/lib/x.so.1', '/x.so/y', '/xso']],
  ['*.so', ['/lib/x.so', '/x.so', 'x.so'], ['/x.so/y']],
  ['/etc/ld.so.cache', ['/etc/ld.so.cache'], ['/x/etc/ld.so.cache', 'etc/ld.so.cache']],
  ['/usr/share/locale/**', ['/usr/share/locale/de', '/usr/share/locale/de/x'], ['/usr/share/locale']],
  ['**/gconv/**', ['/usr/lib/gconv/a', '/gconv/a/b', 'gconv/a'], ['/gconv', '/xgconv/a']],
  ['/**/b', ['/b', '/a/b', '/a/c/b'], ['b', '/ab', '/b/a']],
  ['/a/*/c', ['/a/b/c', '/a/bb/c'], ['/a/c', '/a/b/b/c']],
  ['/a?', ['/ab', '/aé', '/a\u{1f600}'], ['/a', '/abb', '/a/']],
  ['/[a-c]x', ['/ax', '/cx'], ['/dx', '/x', '/ax/']],
  ['/[!a]', ['/b', '/é'], ['/a', '/', '//']],
  ['/[]a]', ['/]', '/a'], ['/b']],
  ['/{a,bc}d', ['/ad', '/bcd'], ['/d', '/bd', '/abcd']],
  ['/{a,{b,c}}', ['/a', '/b', '/c'], ['/', '/ab']],
  ['/{,a}b', ['/b', '/ab'], ['/a']],
  ['/\\*', ['/*'], ['/a', '/']],
  ['/a**b', ['/ab', '/axb'], ['/a/b']],
  ['**', ['/a', 'a', '/a/b'], ['']],
  ['/a,b}', ['/a,b}'], ['/a', '/b}']],
];
