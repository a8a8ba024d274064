"""A seccomp filter, as bytes for bubblewrap: no new processes, no sockets, no rarely needed system calls."""

import platform
import struct

_ALLOW, _DENY, _NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026  # allow; EPERM; ENOSYS
_THREAD = 0x00010000
"""CLONE_THREAD: a clone without it creates a process."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data."""
_CLONE3 = 435
"""The same number on every architecture. A filter cannot read its flags, so ENOSYS makes libc fall back to clone."""

_CALLS = {
    "x86_64": (
        0xC000003E,
        56,
        {
            "fork": 57,
            "vfork": 58,
            "execveat": 322,
            "socket": 41,
            "socketpair": 53,
            "ptrace": 101,
            "mount": 165,
            "umount2": 166,
            "pivot_root": 155,
            "chroot": 161,
            "unshare": 272,
            "setns": 308,
            "bpf": 321,
            "keyctl": 250,
            "add_key": 248,
            "request_key": 249,
            "userfaultfd": 323,
            "perf_event_open": 298,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "init_module": 175,
            "finit_module": 313,
            "kexec_load": 246,
            "open_by_handle_at": 304,
            "io_uring_setup": 425,
            "memfd_create": 319,
            "shmget": 29,
            "msgget": 68,
            "semget": 64,
            "mq_open": 240,
        },
    ),
    "aarch64": (
        0xC00000B7,
        220,
        {
            "execveat": 281,
            "socket": 198,
            "socketpair": 199,
            "ptrace": 117,
            "mount": 40,
            "umount2": 39,
            "pivot_root": 41,
            "chroot": 51,
            "unshare": 97,
            "setns": 268,
            "bpf": 280,
            "keyctl": 219,
            "add_key": 217,
            "request_key": 218,
            "userfaultfd": 282,
            "perf_event_open": 241,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "init_module": 105,
            "finit_module": 273,
            "kexec_load": 104,
            "open_by_handle_at": 265,
            "io_uring_setup": 425,
            "memfd_create": 279,
            "shmget": 194,
            "msgget": 186,
            "semget": 190,
            "mq_open": 180,
        },
    ),
}
"""Machine -> its audit architecture, the number of clone, and the denied calls."""


def supported() -> bool:
    """Whether there is a filter for this machine."""
    return platform.machine() in _CALLS


def filter_bytes() -> bytes:
    """The filter as an array of struct sock_filter (code, jump if true, jump if false, operand)."""
    architecture, clone, denied = _CALLS[platform.machine()]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _DENY),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),  # x32 numbers of the same calls
        (_RETURN, 0, 0, _DENY),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _NO_SUCH_CALL),
    ]
    for number in sorted(denied.values()):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]
    lines += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _THREAD),
        (_RETURN, 0, 0, _DENY),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
