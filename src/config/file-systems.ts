// Names of file systems and the magic numbers that the kernel tells them by (linux/magic.h).

const MAGICS: Readonly<Record<string, number>> = {
  proc: 0x9fa0,
  sysfs: 0x62656572,
  cgroup: 0x27e0eb,
  cgroup2: 0x63677270,
  devpts: 0x1cd1,
  tracefs: 0x74726163,
  debugfs: 0x64626720,
  securityfs: 0x73636673,
  bpf: 0xcafe4a11,
  tmpfs: 0x01021994,
  overlay: 0x794c7630,
  ext4: 0xef53,
  xfs: 0x58465342,
  btrfs: 0x9123683e,
  nfs: 0x6969,
  nsfs: 0x6e736673,
  configfs: 0x62656570,
  efivarfs: 0xde5e81e4,
  fuse: 0x65735546,
  ramfs: 0x858458f6,
  mqueue: 0x19800202,
  hugetlbfs: 0x958458f6,
  selinuxfs: 0xf97cff8c,
};

export const FILE_SYSTEM_NAMES = Object.keys(MAGICS);

/** Returns the magic number of a file system. The name was checked before. */
export function magicOf(name: string): number {
  return MAGICS[name];
}
