import { dlopen, FFIType, ptr } from 'bun:ffi'

/** prctl(2), seccomp(2) and `linux/filter.h`, `linux/seccomp.h`, `linux/audit.h`. */
const PR_SET_NO_NEW_PRIVS = 38
const PR_SET_DUMPABLE = 4
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_TSYNC = 1
const SECCOMP_RET_ALLOW = 0x7fff0000
const SECCOMP_RET_ERRNO = 0x00050000
const EPERM = 1
/** BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JGE | BPF_K, BPF_RET | BPF_K. */
const LOAD = 0x20
const JUMP_EQUAL = 0x15
const JUMP_AT_LEAST = 0x35
const RETURN = 0x06
/** Offsets in `struct seccomp_data`. */
const NUMBER_AT = 0
const ARCHITECTURE_AT = 4
/** On x86-64, numbers from here on are the x32 ABI: the same calls by another name. */
const X32_BIT = 0x40000000

interface Architecture {
  audit: number
  seccomp: number
  /** Calls that neither DuckDB nor the runtime needs once both are loaded. */
  refused: number[]
}

/** By Node's `process.arch`. Numbers from `asm/unistd_64.h` and `asm-generic/unistd.h`, named in this order. */
const ARCHITECTURES: Record<string, Architecture> = {
  // socket connect accept accept4 bind listen; execve execveat; ptrace process_vm_readv process_vm_writev; mount umount2 pivot_root
  // chroot unshare setns; init_module finit_module delete_module kexec_load reboot; bpf perf_event_open userfaultfd keyctl add_key
  // request_key; io_uring_setup io_uring_enter io_uring_register; pidfd_open pidfd_getfd pidfd_send_signal; open_by_handle_at
  x64: {
    audit: 0xc000003e,
    seccomp: 317,
    refused: [
      41, 42, 43, 288, 49, 50, 59, 322, 101, 310, 311, 165, 166, 155, 161, 272, 308, 175, 313, 176, 246, 169, 321, 298, 323, 250, 248, 249,
      425, 426, 427, 434, 438, 424, 304,
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    seccomp: 277,
    refused: [
      198, 203, 202, 242, 200, 201, 221, 281, 117, 270, 271, 40, 39, 41, 51, 97, 268, 105, 273, 106, 104, 142, 280, 241, 282, 219, 217, 218,
      425, 426, 427, 434, 438, 424, 265,
    ],
  },
}

/** `struct sock_filter`s: eight bytes each. */
const program = (architecture: Architecture): Uint8Array<ArrayBuffer> => {
  const { audit, refused } = architecture
  // Jumps count from the next step on; all of them lead to the last one.
  const count = refused.length
  const steps: [code: number, whenTrue: number, whenFalse: number, k: number][] = [
    [LOAD, 0, 0, ARCHITECTURE_AT],
    [JUMP_EQUAL, 0, count + 3, audit],
    [LOAD, 0, 0, NUMBER_AT],
    [JUMP_AT_LEAST, count + 1, 0, X32_BIT],
    ...refused.map((number, n): [number, number, number, number] => [JUMP_EQUAL, count - n, 0, number]),
    [RETURN, 0, 0, SECCOMP_RET_ALLOW],
    [RETURN, 0, 0, SECCOMP_RET_ERRNO | EPERM],
  ]
  const bytes = new Uint8Array(steps.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [n, [code, whenTrue, whenFalse, k]] of steps.entries()) {
    view.setUint16(n * 8, code, true)
    view.setUint8(n * 8 + 2, whenTrue)
    view.setUint8(n * 8 + 3, whenFalse)
    view.setUint32(n * 8 + 4, k >>> 0, true)
  }
  return bytes
}

/**
 * Takes from this process, all its threads and for ever, the calls that open sockets, start programs or look into other processes: a
 * second wall behind DuckDB's own, for the day that one has a hole. False where the kernel does not know it (then the first wall
 * stands alone, as everywhere but on Linux).
 */
export const refuseSystemCalls = (): boolean => {
  const architecture = ARCHITECTURES[process.arch]
  if (process.platform !== 'linux' || architecture === undefined) return false
  const { i32, i64, u64, ptr: pointer } = FFIType
  const libc = dlopen('libc.so.6', {
    prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
    syscall: { args: [i64, i64, i64, pointer], returns: i64 },
  })
  libc.symbols.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n)
  if (libc.symbols.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) return false
  const filter = program(architecture)
  // `struct sock_fprog`: a length of 16 bits, then, aligned, the address.
  const header = new BigUint64Array([BigInt(filter.byteLength / 8), BigInt(ptr(filter))])
  return (
    Number(
      libc.symbols.syscall(BigInt(architecture.seccomp), BigInt(SECCOMP_SET_MODE_FILTER), BigInt(SECCOMP_FILTER_FLAG_TSYNC), ptr(header)),
    ) === 0
  )
}
