// The layout of bpf/record.h: sizes, field offsets and enums. Made by `npm run generate` from the
// compiled programs' BTF; a test compares both.

export const RECORD_PAIR = 1;
export const RECORD_SCOPE_CREATED = 2;
export const RECORD_SCOPE_REMOVED = 3;
export const RECORD_SCOPE_DESCRIBED = 4;

export const CLOSE_FAILED = 0;
export const CLOSE_CLOSE = 1;
export const CLOSE_RANGE = 2;
export const CLOSE_DUP = 3;
export const CLOSE_EXEC = 4;
export const CLOSE_EXIT = 5;
export const CLOSE_STOP = 6;
export const CLOSE_LOST = 7;

export const PAIR_PATH_TRUNCATED = 1;
export const PAIR_PATH_RENAMED = 2;
export const PAIR_ADOPTED = 4;
export const PAIR_START_MISSED = 8;
export const PAIR_RUNTIME_PHASE = 16;
export const PAIR_DELETED = 32;

export const SCOPE_CGROUP2 = 0;
export const SCOPE_CGROUP1 = 1;
export const SCOPE_MNTNS = 2;
export const SCOPE_PIDNS = 3;

export const VERDICT_IGNORE = 1;
export const VERDICT_DENY = 2;
export const VERDICT_UNJUDGED = 3;
export const VERDICT_TRACE = 4;

export const SCOPE_POLICY_CONTAINER = 0;
export const SCOPE_POLICY_VERDICT = 8;
export const SCOPE_POLICY_DESCRIBED = 12;
export const SCOPE_POLICY_BYTES = 16;

export const NS_MNT = 0;
export const NS_PID = 1;
export const NS_UTS = 2;
export const NS_NET = 3;
export const NS_IPC = 4;
export const NS_USER = 5;
export const NS_CGROUP = 6;
export const NS_COUNT = 7;

export const COMM_BYTES = 16;
export const EXECUTABLE_BYTES_MAX = 255;
export const PATH_BYTES_MAX = 4096;
export const HOSTNAME_BYTES = 64;
export const CGROUP_PATH_BYTES_MAX = 4096;

export const PAIR_RECORD_KIND = 0;
export const PAIR_RECORD_REASON = 1;
export const PAIR_RECORD_FLAGS = 2;
export const PAIR_RECORD_EXECUTABLE_BYTES = 4;
export const PAIR_RECORD_PATH_BYTES = 6;
export const PAIR_RECORD_SCOPE = 8;
export const PAIR_RECORD_OPENED_BOOT_NS = 16;
export const PAIR_RECORD_CLOSED_BOOT_NS = 24;
export const PAIR_RECORD_OPEN_DURATION_NS = 32;
export const PAIR_RECORD_PROCESS_STARTED_BOOT_NS = 40;
export const PAIR_RECORD_INODE = 48;
export const PAIR_RECORD_SIZE_BYTES = 56;
export const PAIR_RECORD_PID = 64;
export const PAIR_RECORD_TID = 68;
export const PAIR_RECORD_VPID = 72;
export const PAIR_RECORD_PARENT_PID = 76;
export const PAIR_RECORD_USER_ID = 80;
export const PAIR_RECORD_EXEC_COUNT = 84;
export const PAIR_RECORD_FD = 88;
export const PAIR_RECORD_OPEN_FLAGS = 92;
export const PAIR_RECORD_MODE = 96;
export const PAIR_RECORD_DEVICE = 100;
export const PAIR_RECORD_NAMESPACES = 104;
export const PAIR_RECORD_COMM = 132;
export const PAIR_RECORD_RESERVED = 148;
export const PAIR_RECORD_BYTES = 152;

export const SCOPE_CREATED_RECORD_KIND = 0;
export const SCOPE_CREATED_RECORD_PATH_BYTES = 4;
export const SCOPE_CREATED_RECORD_FLAGS = 6;
export const SCOPE_CREATED_RECORD_SCOPE = 8;
export const SCOPE_CREATED_RECORD_CONTAINER = 16;
export const SCOPE_CREATED_RECORD_VERDICT = 24;
export const SCOPE_CREATED_RECORD_BYTES = 32;

export const SCOPE_REMOVED_RECORD_KIND = 0;
export const SCOPE_REMOVED_RECORD_SCOPE = 8;
export const SCOPE_REMOVED_RECORD_BYTES = 16;

export const SCOPE_DESCRIBED_RECORD_KIND = 0;
export const SCOPE_DESCRIBED_RECORD_PID = 4;
export const SCOPE_DESCRIBED_RECORD_SCOPE = 8;
export const SCOPE_DESCRIBED_RECORD_PROCESS_STARTED_BOOT_NS = 16;
export const SCOPE_DESCRIBED_RECORD_NAMESPACES = 24;
export const SCOPE_DESCRIBED_RECORD_HOSTNAME = 56;
export const SCOPE_DESCRIBED_RECORD_BYTES = 120;
