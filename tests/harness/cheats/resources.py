"""Cheats that take too much of the machine. All are bounded: where a sandbox fails, the machine survives."""

from __future__ import annotations

from .cheat import Cheat, trespass

DISK_MEBIBYTES = 2048
FORKS = 300


def taking(name: str, what: str, body: str, stopped_at: str = "basic") -> Cheat:
    """Return the cheat that runs `body` in the middle of a question, and answers if it gets away with it."""
    return Cheat(
        name, what, f"\ndef attack(model):\n{body}\n    return 0\n", stopped_at=stopped_at, checks=(trespass,)
    )


CHEATS = [
    taking(
        "memory bomb",
        "Two and a half gigabytes, written to, in one process.",
        """
    held = []
    for _ in range(40):
        held.append(bytearray(b"x") * (64 << 20))
    return "BROKEN: held 2.5 GiB"
""",
    ),
    taking(
        "memory bomb in children",
        "Two gigabytes, in eight children that each stay below the limit.",
        """
    for _ in range(8):
        if os.fork() == 0:
            mark()
            held = bytearray(b"x") * (256 << 20)
            time.sleep(20)
            os._exit(0)
    time.sleep(2.5)
    return "BROKEN: eight children held 2 GiB"
""",
    ),
    taking(
        "memory in a file of memory",
        "A gigabyte and a half in memfd files, which are no memory of the process's.",
        """
    held = []
    try:
        for number in range(24):
            descriptor = os.memfd_create(str(number))
            held.append(descriptor)
            os.posix_fallocate(descriptor, 0, 64 << 20)
    except OSError as error:
        return f"nothing: {error}"
    return "BROKEN: held 1.5 GiB in memfd files"
""",
        "strict",
    ),
    taking(
        "fork bomb",
        "Forks until it may not.",
        f"""
    children = 0
    try:
        for _ in range({FORKS}):
            if os.fork() == 0:
                mark()
                time.sleep(15)
                os._exit(0)
            children += 1
    except OSError as error:
        return f"nothing: {{error}}"
    return f"BROKEN: {{children}} children"
""",
        "strict",
    ),
    taking(
        "thread bomb",
        "Two thousand threads.",
        """
    try:
        for _ in range(2000):
            threading.Thread(target=time.sleep, args=(15,), daemon=True).start()
    except RuntimeError as error:
        return f"nothing: {error}"
    return "BROKEN: 2000 threads"
""",
        "strict",
    ),
    taking(
        "disk bomb",
        "Two gigabytes in its temporary folder, in files of 50 MiB.",
        f"""
    import tempfile
    folder, written = tempfile.gettempdir(), 0
    try:
        while written < {DISK_MEBIBYTES}:
            with open(f"{{folder}}/{{written}}", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 50 << 20)
            written += 50
    except OSError as error:
        return f"nothing: {{error}}"
    return f"BROKEN: wrote {{written}} MiB"
""",
        "strict",
    ),
    taking(
        "large file",
        "One file of a gigabyte.",
        """
    try:
        with open("large", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 30)
    except OSError as error:
        return f"nothing: {error}"
    return "BROKEN: one file of 1 GiB"
""",
    ),
    taking(
        "many small files",
        "Twenty thousand empty files, in a folder that nobody may enter.",
        """
    os.mkdir("many")
    for number in range(20_000):
        open(f"many/{number}", "w").close()
    os.chmod("many", 0)
""",
    ),
    taking(
        "deep folders",
        "A path deeper than any function that walks it, of names that are no text.",
        r"""
    home = os.getcwd()
    for _ in range(1500):
        os.mkdir(b"a\nb\xff\x1b[31m")
        os.chdir(b"a\nb\xff\x1b[31m")
    os.chdir(home)
""",
    ),
    taking(
        "locked folder",
        "Its own folder without permissions, links in it that lead out, and a pipe.",
        """
    os.mkdir("locked")
    os.symlink("@SCENE@/beside", "locked/out")
    os.symlink("@SCENE@/other", "out")
    os.mkfifo("pipe")
    os.chmod("locked", 0)
    os.chmod(".", 0)
""",
    ),
    taking(
        "descriptors",
        "Opens files until it may not, then answers.",
        """
    import resource
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        globals()["held"] = held
""",
    ),
    taking("prints", "Prints without end.", "    while True:\n        os.write(1, b'x' * 65536)"),
    taking(
        "prints after the answer",
        "A thread that prints on, question after question.",
        """
    def print_on():
        while True:
            os.write(2, b"x" * 65536)
    threading.Thread(target=print_on, daemon=True).start()
    time.sleep(0.3)
""",
    ),
    taking(
        "never reads",
        "Stops reading its questions, so that the judge may wait for it to read.",
        "    import signal\n    os.closerange(0, 3)\n    signal.pause()",
    ),
    taking(
        "burns processor time",
        "Children that compute while it answers.",
        """
    for _ in range(4):
        if os.fork() == 0:
            mark()
            end = time.time() + 20
            while time.time() < end:
                pass
            os._exit(0)
""",
    ),
    taking(
        "shared memory",
        "Leaves files in /dev/shm and in /tmp.",
        """
    for folder in ("/dev/shm", "/tmp", "/var/tmp"):
        try:
            with open(f"{folder}/@MARK@", "w") as file:
                file.write("left")
        except OSError:
            continue
""",
        "medium",
    ),
    taking(
        "segment of shared memory",
        "Leaves a segment of System V, which outlives every process, and deletes it again if it could.",
        """
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0x6E670000 + os.getpid() % 65536, 4096, 0o1600)
    if segment >= 0:
        libc.shmctl(segment, 0, None)
        if os.readlink("/proc/self/ns/ipc") == "@IPC@":
            return "BROKEN: made a segment that would outlive it"
""",
        "strict",
    ),
    taking(
        "regular expression without end",
        "A call that returns to no signal handler of Python's.",
        "    import re\n    re.match('(a+)+$', 'a' * 60 + 'b')",
    ),
    taking(
        "lower priority for the rest",
        "Takes the machine's processors for itself.",
        """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except OSError as error:
        return f"nothing: {error}"
    return "BROKEN: raised its own priority"
""",
        "strict",
    ),
]
