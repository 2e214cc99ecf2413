"""Seccomp: system calls that no submission needs are answered with an error.

A list of what is refused, not of what is allowed: torch, and whatever correct code does with it, would need
hundreds, and a forgotten one would fail correct programs. Refused is what reaches outside the process or
into the kernel's rarely used parts. Written as a classic BPF program, by hand: libseccomp would have to be
installed beside pip.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from grader.sandbox import kernel

# name: (number on x86-64, number on 64-bit ARM); -1 where the machine has no such call.
REFUSED = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # namespaces and the file system's shape
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "swapon": (167, 224), "swapoff": (168, 225),
    "fanotify_init": (300, 262),
    # the network; pairs of sockets, which Python uses between its own processes, are another call
    "connect": (42, 203),
    # memory and queues that outlive their process, or that no limit counts
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_secret": (447, 447), "mlockall": (151, 230),
    # the kernel and the machine
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "syslog": (103, 116), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161),
    "setdomainname": (171, 162), "iopl": (172, -1), "ioperm": (173, -1), "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    # what happens in folders that it may not read; requests of which a machine has so many for all
    "inotify_add_watch": (254, 27), "io_setup": (206, 0),
}  # fmt: skip
# Refused, too, but for CUDA's driver, which makes memory that no limit of a process counts (memfd_create) and
# listens on a socket of its own: without these it does not start (error 304).
_UNLESS_CUDA = {"memfd_create": (319, 279), "bind": (49, 200), "listen": (50, 201)}
_SOCKET, _OF_THIS_MACHINE, _KIND_OF_SOCKET, _DATAGRAM = (41, 198), 1, 0xF, 2
_CLONE, _CLONE3 = (56, 220), (435, 435)
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
# What the kernel lets every process of a user do to every other one: limits, priorities, processors, memory.
_BY_PROCESS = {
    "prlimit64": (302, 261), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
}  # fmt: skip
# The same, with a kind first: 0 and 1 are the kinds "process".
_BY_KIND_AND_PROCESS = {"setpriority": ((141, 140), 0), "ioprio_set": ((251, 30), 1)}
_SIGNALS_BY_DESCRIPTOR = (424, 424)

_MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
_NAMESPACES = 0x7E02_0080  # every CLONE_NEW... flag, of time too
_X32 = 0x4000_0000

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY = 0x20, 0x15, 0x35, 0x45
_AND, _RETURN = 0x54, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
# Offsets in struct seccomp_data, little-endian.
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def available() -> bool:
    """Say whether a filter is known for this machine."""
    return platform.system() == "Linux" and platform.machine() in _MACHINES


def restrict(*, cuda: bool = False, only: int | None = None, signals: bool = False) -> None:
    """Refuse the calls above from now on, here and in every process started from here.

    With `only`, limits and priorities of this process alone may be set, and with `signals` they, too, may
    go to no other. Needs `kernel.gain_nothing` before.
    Raises OSError.
    """
    if not available():
        raise OSError(f"no filter of system calls is known for {platform.system()} on {platform.machine()}")
    install(program(cuda=cuda, only=only, signals=signals))


def install(instructions: list[bytes]) -> None:
    """Give the kernel a filter."""
    code = ctypes.create_string_buffer(b"".join(instructions))
    header = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(code))
    kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header)


def program(*, cuda: bool = False, only: int | None = None, signals: bool = False) -> list[bytes]:
    """Return the filter as instructions of classic BPF."""
    column, machine = _MACHINES[platform.machine()]
    refused = [numbers[column] for numbers in REFUSED.values() if numbers[column] >= 0]
    if not cuda:
        refused += [numbers[column] for numbers in (_SOCKET, *_UNLESS_CUDA.values())]
    lines = [
        _step(_LOAD, _MACHINE),
        _step(_JUMP_IF_EQUAL, machine, 1, 0),
        _step(_RETURN, _KILL),  # a process of another architecture has other numbers
        _step(_LOAD, _NUMBER),
    ]
    if column == 0:
        lines += [_step(_JUMP_IF_AT_LEAST, _X32, 0, 1), _error(errno.ENOSYS)]
    # The C library falls back to clone, whose flags a filter can see.
    lines += [_step(_JUMP_IF_EQUAL, _CLONE3[column], 0, 1), _error(errno.ENOSYS)]
    for number in sorted(refused):
        lines += _when(number, [_error(errno.EPERM)])
    if cuda:
        lines += _when(_SOCKET[column], _listening_socket())
    if only is not None:
        lines += _only_to(column, only)
    if only is not None and signals:
        lines += _signals(column, only)
    return [
        *lines,
        _step(_JUMP_IF_EQUAL, _CLONE[column], 0, 3),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_JUMP_IF_ANY, _NAMESPACES, 0, 1),
        _error(errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]


def refusing_namespaces() -> list[bytes]:
    """Return a filter that only refuses namespaces: a machine that does not offer them, for tests."""
    column, _ = _MACHINES[platform.machine()]
    return [
        _step(_LOAD, _NUMBER),
        _step(_JUMP_IF_EQUAL, REFUSED["unshare"][column], 0, 1),
        _error(errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]


def _only_to(column: int, process_id: int) -> list[bytes]:
    """Allow the calls that name a process where that is this one, by its id or as 0."""
    itself, lines = (0, process_id), []
    for numbers in _BY_PROCESS.values():
        lines += _when(numbers[column], _allow_if(_FIRST_ARGUMENT, itself))
    for numbers, kind in _BY_KIND_AND_PROCESS.values():
        of_a_process = [
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_JUMP_IF_EQUAL, kind, 1, 0),
            _error(errno.EPERM),
            *_allow_if(_SECOND_ARGUMENT, itself),
        ]
        lines += _when(numbers[column], of_a_process)
    return lines


def _listening_socket() -> list[bytes]:
    """Allow a socket of this machine that needs a connection, which only the other side can ask for here.

    One for datagrams would reach any socket that somebody has left open to all.
    """
    return [
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_JUMP_IF_EQUAL, _OF_THIS_MACHINE, 1, 0),
        _error(errno.EPERM),
        _step(_LOAD, _SECOND_ARGUMENT),
        _step(_AND, _KIND_OF_SOCKET),
        _step(_JUMP_IF_EQUAL, _DATAGRAM, 0, 1),
        _error(errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]


def _signals(column: int, process_id: int) -> list[bytes]:
    lines = _when(_SIGNALS_BY_DESCRIPTOR[column], [_error(errno.EPERM)])
    for numbers in _SIGNALS.values():
        lines += _when(numbers[column], _allow_if(_FIRST_ARGUMENT, (process_id,)))
    return lines


def _when(number: int, block: list[bytes]) -> list[bytes]:
    """Go through `block`, which returns, for the call of this number."""
    return [_step(_JUMP_IF_EQUAL, number, 0, len(block)), *block]


def _allow_if(argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Allow the call if the argument at this offset is one of the values, and refuse it otherwise."""
    return [
        _step(_LOAD, argument),
        *(_step(_JUMP_IF_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)),
        _error(errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _error(number: int) -> bytes:
    return _step(_RETURN, _FAIL | number)
