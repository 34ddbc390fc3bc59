// The defaults of the keys that are lists.

/** They hold no files of an application: each read makes them anew. */
export const FILE_SYSTEMS = [
  'proc',
  'sysfs',
  'cgroup',
  'cgroup2',
  'devpts',
  'tracefs',
  'debugfs',
  'securityfs',
  'bpf',
];

/** What the start of nearly every program opens. */
export const EXCLUDED = [
  '**/*.so',
  '**/*.so.*',
  '/etc/ld.so.cache',
  '/usr/lib/locale/**',
  '/usr/share/locale/**',
  '/usr/share/zoneinfo/**',
  '/etc/localtime',
  '**/gconv/**',
  '**/__pycache__/**',
];

/** Permissions, limits, disks; not ENOENT, which every search of a path gives. */
export const FAILED = [
  'EACCES',
  'EPERM',
  'EROFS',
  'EMFILE',
  'ENFILE',
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'ENOMEM',
  'ESTALE',
];
