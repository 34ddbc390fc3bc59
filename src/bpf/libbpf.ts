// libbpf's functions, by koffi. Every pointer is an address (bigint) that libbpf owns until the object,
// link or BTF it belongs to is closed; all calls are made by the main thread, or wait for it (BpfObject.loadAside).
import koffi from 'koffi';

export type Address = bigint;

/** Thrown when the system library is missing; the message says what to install. */
export class LibbpfMissingError extends Error {
  readonly code = 'LIBBPF_MISSING';
}

const LIBRARY_NAMES = ['libbpf.so.1'];

function loadLibrary(): ReturnType<typeof koffi.load> {
  for (const name of LIBRARY_NAMES) {
    try {
      return koffi.load(name);
    } catch {
      // The next name, or the error below.
    }
  }
  throw new LibbpfMissingError(
    `libbpf 1.x (${LIBRARY_NAMES.join(', ')}) isn't installed; on Debian: apt-get install libbpf1`,
  );
}

/** Declares libbpf's functions that fdspan calls. Throws {@link LibbpfMissingError}. */
function declare() {
  const library = loadLibrary();
  return {
    setPrint: library.func('void *libbpf_set_print(void *print)'),
    numPossibleCpus: library.func('int libbpf_num_possible_cpus()'),
    objectOpenFile: library.func('void *bpf_object__open_file(const char *path, void *options)'),
    objectLoad: library.func('int bpf_object__load(void *object)'),
    objectClose: library.func('void bpf_object__close(void *object)'),
    findMap: library.func('void *bpf_object__find_map_by_name(void *object, const char *name)'),
    findProgram: library.func('void *bpf_object__find_program_by_name(void *object, const char *name)'),
    mapFd: library.func('int bpf_map__fd(void *map)'),
    mapSetMaxEntries: library.func('int bpf_map__set_max_entries(void *map, uint32_t entries)'),
    mapSetInitialValue: library.func('int bpf_map__set_initial_value(void *map, void *data, size_t bytes)'),
    programFd: library.func('int bpf_program__fd(void *program)'),
    programSetAutoload: library.func('int bpf_program__set_autoload(void *program, bool autoload)'),
    programSetLogBuffer: library.func(
      'int bpf_program__set_log_buf(void *program, void *buffer, size_t bytes)',
    ),
    programAttach: library.func('void *bpf_program__attach(void *program)'),
    programAttachIter: library.func('void *bpf_program__attach_iter(void *program, void *options)'),
    linkFd: library.func('int bpf_link__fd(void *link)'),
    linkDestroy: library.func('int bpf_link__destroy(void *link)'),
    iterCreate: library.func('int bpf_iter_create(int link)'),
    testRun: library.func('int bpf_prog_test_run_opts(int program, void *options)'),
    mapLookup: library.func('int bpf_map_lookup_elem(int map, void *key, void *value)'),
    mapUpdate: library.func('int bpf_map_update_elem(int map, void *key, void *value, uint64_t flags)'),
    mapNextKey: library.func('int bpf_map_get_next_key(int map, void *key, void *next)'),
    mapDelete: library.func('int bpf_map_delete_elem(int map, void *key)'),
    objectInfo: library.func('int bpf_obj_get_info_by_fd(int fd, void *info, void *bytes)'),
    btfParse: library.func('void *btf__parse(const char *path, void *extension)'),
    btfLoadKernel: library.func('void *btf__load_vmlinux_btf()'),
    btfFree: library.func('void btf__free(void *btf)'),
    btfFind: library.func('int btf__find_by_name_kind(void *btf, const char *name, uint32_t kind)'),
    btfType: library.func('void *btf__type_by_id(void *btf, uint32_t id)'),
    btfName: library.func('const char *btf__name_by_offset(void *btf, uint32_t offset)'),
  };
}

let declared: ReturnType<typeof declare> | undefined;

/** Returns libbpf, loaded on first use and then silenced: errors come as results. */
export function libbpf(): ReturnType<typeof declare> {
  if (declared === undefined) {
    declared = declare();
    declared.setPrint(null);
  }
  return declared;
}

/** The errno that the last call of this thread left. */
export function lastErrno(): number {
  return koffi.errno();
}

/** The address of a buffer; it is valid for as long as the caller keeps the buffer. */
export function addressOf(bytes: Uint8Array): Address {
  return koffi.address(bytes);
}

/** Views native memory; it must stay allocated for as long as the view is used. */
export function viewMemory(address: Address, bytes: number): ArrayBuffer {
  return koffi.view(address, bytes);
}
