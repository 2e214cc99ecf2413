"""Cheats that leave early, outlive their process, kill others, or go where they should not."""

from __future__ import annotations

from .cheat import CONFIGURATION, FLOPS, NOTHING, Cheat, contact, trespass
from .looking import ANCESTORS, LIBC


def leaving(name: str, what: str, code: str, at_import: bool = False) -> Cheat:
    """Return the cheat that runs `code` in the middle of a question, or when it is imported."""
    if at_import:
        return Cheat(name, what, code, only=(CONFIGURATION, FLOPS), earns=NOTHING)
    return Cheat(name, what, f"\ndef attack(model):\n    {code}\n    return 0\n")


DAEMON = '''
def daemon(what):
    """Run `what` in a process that has no parent and no group of this one."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            mark()
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            try:
                what()
            finally:
                os._exit(0)
        os._exit(0)
    time.sleep(0.2)
'''


def away(name: str, what: str, body: str, stopped_at: str = "strict") -> Cheat:
    """Return the cheat that leaves a process behind."""
    return Cheat(name, what, DAEMON + body, stopped_at=stopped_at)


def forbidden(name: str, what: str, body: str, stopped_at: str = "medium") -> Cheat:
    """Return the cheat that says so if `body`, in a process of its own that ends at once, gets through."""
    code = f"""
def attempt():
{body}

def attack(model):
    child = os.fork()
    if child == 0:
        try:
            attempt()
            os._exit(7)
        except BaseException:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    return "BROKEN: {name}" if os.waitstatus_to_exitcode(status) == 7 else 0
"""
    return Cheat(name, what, LIBC + code, stopped_at=stopped_at, checks=(trespass,))


def sending(name: str, what: str, body: str) -> Cheat:
    """Return the cheat that sends something out of its process."""
    code = f"""
import socket

def attack(model):
    try:
        {body}
    except OSError as error:
        return f"nothing: {{error}}"
    return 0
"""
    return Cheat(name, what, code, stopped_at="medium", checks=(contact,))


CHEATS = [
    leaving("exits at import", "sys.exit(0) where it is imported.", "sys.exit(0)\n", at_import=True),
    leaving("exits hard at import", "os._exit(0) where it is imported.", "os._exit(0)\n", at_import=True),
    leaving("exits", "sys.exit(0) in the call.", "sys.exit(0)"),
    leaving("exits hard", "os._exit(0) in the call.", "os._exit(0)"),
    leaving("interrupts", "Raises what an impatient user would.", "raise KeyboardInterrupt"),
    leaving(
        "stops like the loader",
        "Raises the exception by which a fresh process says that an import stopped an earlier one.",
        "from specs.probes.loading import StoppedBefore; raise StoppedBefore('nanochat.gpt')",
    ),
    leaving(
        "raises the judge's fault",
        "A fault of the grader's, of the right name.",
        ("raise type('GraderFault', (Exception,), {'__module__': 'specs.outcomes'})('the grader failed')"),
    ),
    leaving("segfault", "Reads address 0.", "ctypes.string_at(0)"),
    leaving("aborts", "SIGABRT, which may write a core.", "os.abort()"),
    leaving("kills itself", "SIGKILL, as when the machine runs out of memory.", "os.kill(os.getpid(), 9)"),
    leaving("stops itself", "SIGSTOP: it neither answers nor ends.", "os.kill(os.getpid(), 19)"),
    Cheat(
        "writes results at exit",
        "Leaves results behind when it ends, beside the submission.",
        """
import atexit

def _write():
    for name in ("results.json", "report.xml", ".pytest_cache/passed"):
        try:
            open(f"@SCENE@/{name}", "w").write("passed")
        except OSError:
            continue

atexit.register(_write)

def attack(model):
    sys.exit(0)
""",
    ),
    Cheat(
        "hangs at the second import",
        "Imports once; the process that is started after it died never gets ready.",
        """
_state = Path(os.environ.get("HOME", "/tmp")) / "@MARK@"
if _state.exists():
    time.sleep(3600)
_state.touch()

def attack(model):
    os._exit(0)
""",
    ),
    Cheat(
        "kills the judge",
        "SIGKILL to every process above it that grades.",
        ANCESTORS
        + r"""
def attack(model):
    for one in ancestors():
        command = Path(f"/proc/{one}/cmdline").read_bytes()
        if b"-m\0grader" not in command and b"grader/sandbox" not in command:
            break  # the test itself
        os.kill(one, 9)
    return 0
""",
        stopped_at="medium",
        alone=True,
    ),
    Cheat(
        "interrupts the judge",
        "SIGTERM and SIGINT to its parent and to its group.",
        r"""
def attack(model):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    if b"-m\0grader" in command or b"grader/sandbox" in command:
        os.kill(os.getppid(), signal.SIGTERM)
        os.kill(os.getppid(), signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    return 0
""",
        stopped_at="medium",
        alone=True,
    ),
    Cheat(
        "thread after the answer",
        "Goes on in a thread after it has answered.",
        """
def _go_on():
    mark()
    while True:
        time.sleep(0.01)

def attack(model):
    for _ in range(4):
        threading.Thread(target=_go_on, daemon=False).start()
    return 0
""",
    ),
    Cheat(
        "child that outlives it",
        "A child that holds the wire open after its parent is gone.",
        """
def attack(model):
    if os.fork() == 0:
        mark()
        time.sleep(60)
        os._exit(0)
    os._exit(0)
""",
        stopped_at="strict",
    ),
    away(
        "daemon",
        "A process of its own session, long after.",
        "\ndef attack(model):\n    daemon(lambda: time.sleep(60))\n    return 0\n",
    ),
    away(
        "daemon that answers",
        "A process that goes on answering for later ones.",
        """
def _answer():
    for number in range(1, 400):
        write_all(frame_of({"call": number, "value": "accepted"}))
        time.sleep(0.005)
    time.sleep(60)

def attack(model):
    daemon(_answer)
    os._exit(0)
""",
    ),
    away(
        "daemon that writes results",
        "A process that writes over the record when it is there.",
        """
def _write():
    time.sleep(0.5)
    open("@SCENE@/report.json", "w").write("passed")

def attack(model):
    daemon(_write)
    return 0
""",
    ),
    forbidden(
        "new namespaces", "Namespaces of its own.", "    assert libc.unshare(0x10000000 | 0x20000) == 0"
    ),
    forbidden(
        "mount",
        "A file system over the submission's, in a namespace that ends with it.",
        "    assert libc.unshare(0x20000) == 0 and libc.mount(b'none', b'/', None, 0x44000, None) == 0\n"
        "    assert libc.mount(b'none', b'@SCENE@/beside', b'tmpfs', 0, None) == 0",
    ),
    forbidden("chroot", "Another root.", "    os.chroot('@SCENE@')"),
    forbidden("becomes root", "Takes the user id 0, or keeps it.", "    os.setuid(0)", "strict"),
    forbidden(
        "device", "A device file of the memory.", "    os.mknod('@SCENE@/memory', 0o020666, 257)", "strict"
    ),
    forbidden(
        "raises its limits",
        "More of everything.",
        "    import resource\n    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))",
    ),
    forbidden(
        "runs a program", "Another program, which has no audit hook.", "    assert os.system('true') == 0"
    ),
    sending(
        "TCP", "A connection to this machine.", "socket.create_connection(('127.0.0.1', @TCP@), 1).send(b'x')"
    ),
    sending(
        "UDP",
        "A datagram, as a name server gets it.",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @UDP@))",
    ),
    sending(
        "abstract socket", "A socket without a file.", "socket.socket(socket.AF_UNIX).connect(b'\\0@MARK@')"
    ),
]
