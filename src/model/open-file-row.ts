// One file that is open now, as the control socket tells it and `fdspan open` shows it.

export interface OpenFileRow {
  /** Name of the container; null where none is known, empty for the host. */
  readonly container: string | null;
  /** null for the host, and where fdspan no longer knows the container. */
  readonly container_id: string | null;
  readonly pid: number;
  readonly process: string;
  readonly user_id: number;
  /** Numbers that the process has the file under, as far as fdspan follows them. */
  readonly fds: readonly number[];
  /** It has more numbers than these. */
  readonly has_more_fds: boolean;
  /** As it was when the file was opened; bytes that aren't UTF-8 as `\xNN`. */
  readonly path: string;
  /** read, write, read_write, none (ioctl only) or path (O_PATH). */
  readonly access: string;
  /** When it was opened, RFC 3339; of an adopted one when fdspan found it. */
  readonly opened: string;
  /** For how long it is open; of an adopted one at least. */
  readonly open_ns: number;
  /** Of the file now. */
  readonly size: number;
  readonly inode: string;
  /** major:minor */
  readonly device: string;
  /** It has no name any more: its space is given back when it is closed. */
  readonly is_deleted: boolean;
  /** It was open before fdspan started, and nothing tells since when. */
  readonly is_adopted: boolean;
}

/** What the control socket's `open` asks for; absent: all. */
export interface OpenFilesQuery {
  /** A glob, as in files.exclude. */
  readonly path?: string;
  /** A name, an id, or the beginning of an id. */
  readonly container?: string;
}

/** What it ends with. */
export interface OpenFilesTotal {
  /** Rows that were sent. */
  readonly files: number;
  /** Open files that were looked at. */
  readonly looked_at: number;
  /** Containers that the question named; null when it named none. */
  readonly containers: number | null;
}
