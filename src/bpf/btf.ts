// Reads BTF, the kernel's and the objects' own description of their types, through libbpf.
import { libbpf, lastErrno, viewMemory, type Address } from './libbpf.ts';

export const BTF_KIND_STRUCT = 4;
export const BTF_KIND_ENUM = 6;
export const BTF_KIND_TYPEDEF = 8;
export const BTF_KIND_FUNC = 12;

const TYPE_BYTES = 12;
const ENUM_VALUE_BYTES = 8;
const MEMBER_BYTES = 12;

export interface BtfMember {
  readonly name: string;
  readonly offsetBytes: number;
}

/** One BTF blob. Close it when done. */
export class Btf {
  readonly #address: Address;

  private constructor(address: Address) {
    this.#address = address;
  }

  /** Opens the BTF of a file (raw or ELF), or the running kernel's for null. Throws when there is none. */
  static open(path: string | null): Btf {
    const address = path === null ? libbpf().btfLoadKernel() : libbpf().btfParse(path, null);
    if (!address) {
      throw new Error(`reading BTF from ${path ?? '/sys/kernel/btf/vmlinux'}: errno ${lastErrno()}`);
    }
    return new Btf(address as Address);
  }

  /** Tells whether a type of that name and kind exists. */
  has(name: string, kind: number): boolean {
    return libbpf().btfFind(this.#address, name, kind) > 0;
  }

  /** Returns the values of an enum by name; undefined when there is no such enum. */
  enumValues(name: string): ReadonlyMap<string, number> | undefined {
    const type = this.#type(name, BTF_KIND_ENUM);
    if (type === undefined) return undefined;
    const view = new DataView(
      viewMemory(type.address + BigInt(TYPE_BYTES), type.entries * ENUM_VALUE_BYTES),
    );
    const values = new Map<string, number>();
    for (let at = 0; at < view.byteLength; at += ENUM_VALUE_BYTES) {
      values.set(this.#name(view.getUint32(at, true)), view.getInt32(at + 4, true));
    }
    return values;
  }

  /** Returns size and members of a struct; undefined when there is no such struct. */
  struct(name: string): { readonly bytes: number; readonly members: readonly BtfMember[] } | undefined {
    const type = this.#type(name, BTF_KIND_STRUCT);
    if (type === undefined) return undefined;
    const view = new DataView(viewMemory(type.address + BigInt(TYPE_BYTES), type.entries * MEMBER_BYTES));
    const members: BtfMember[] = [];
    for (let at = 0; at < view.byteLength; at += MEMBER_BYTES) {
      members.push({
        name: this.#name(view.getUint32(at, true)),
        offsetBytes: (view.getUint32(at + 8, true) & 0xffffff) / 8,
      });
    }
    return { bytes: type.bytes, members };
  }

  close(): void {
    libbpf().btfFree(this.#address);
  }

  #type(name: string, kind: number): { address: Address; entries: number; bytes: number } | undefined {
    const id = libbpf().btfFind(this.#address, name, kind) as number;
    if (id <= 0) return undefined;
    const address = libbpf().btfType(this.#address, id) as Address;
    const head = new DataView(viewMemory(address, TYPE_BYTES));
    return { address, entries: head.getUint32(4, true) & 0xffff, bytes: head.getUint32(8, true) };
  }

  #name(offset: number): string {
    return (libbpf().btfName(this.#address, offset) as string | null) ?? '';
  }
}
