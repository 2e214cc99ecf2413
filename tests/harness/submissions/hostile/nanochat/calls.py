"""Ways to misbehave while a call is answered, and a few to behave."""

import ctypes
import fcntl
import glob
import mmap
import os
import signal
import subprocess
import sys
import threading
import time


def double(number):
    return 2 * number


# What a submission may raise.


class HostileError(Exception):
    def __str__(self):
        raise SystemExit("even its text")


class Lookalike(ValueError):
    @property
    def args(self):
        raise RuntimeError("no arguments")


def raise_value_error():
    raise ValueError("seven is not even")


def raise_hostile():
    raise HostileError


def raise_lookalike():
    raise Lookalike("fine")


def raise_long():
    raise ValueError("x" * 100_000)


def raise_surrogate():
    raise ValueError("lone \ud800 surrogate")


def raise_memory_error():
    raise MemoryError


def exit_politely():
    sys.exit(0)


def recurse(depth=0):
    return recurse(depth + 1)


def divide_in_torch():
    import torch

    return torch.ones(2, 3) @ torch.ones(2, 3)


def return_object():
    return object()


class Number(int):
    pass


def return_subclass():
    return {"logits": [1, Number(2)]}


def return_large():
    return bytes(65 << 20)


# What stops it.


def hang():
    while True:
        time.sleep(1)


def hang_deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def exit_hard(code=0):
    os._exit(code)


def segfault():
    ctypes.string_at(0)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def print_forever():
    while True:
        print("la " * 10_000)


def print_from_thread():
    def keep_printing():
        while True:
            os.write(1, b"la " * 1000)

    threading.Thread(target=keep_printing, daemon=True).start()
    time.sleep(30)


def print_little():
    print("hello from the submission")
    print("and its errors", file=sys.stderr)


def eat_memory():
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def eat_torch_memory():
    import torch

    return torch.empty(1 << 40).sum().item()


def eat_shared_memory():
    """Shared mappings are not the data segment: only looking from outside finds them."""
    kept = []
    while True:
        block = mmap.mmap(-1, 16 << 20)
        block.write(bytes(16 << 20))
        kept.append(block)
        time.sleep(0.01)


def eat_memory_in_child():
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import time\nx = []\nwhile True:\n x.append(bytes([1]) * (8 << 20)); time.sleep(.002)",
        ],
        check=False,
    )


def freeze_after_answer():
    def freeze():
        time.sleep(0.2)
        ctypes.PyDLL(None).sleep(30)  # with Python's lock held: nothing else of it runs

    threading.Thread(target=freeze, daemon=True).start()


# What it can do to the wire, once it has found it.


def pipes():
    """The descriptors, beyond the standard ones, that are pipes: (readable, writable)."""
    found = {os.O_RDONLY: [], os.O_WRONLY: []}
    for path in glob.glob("/proc/self/fd/*"):
        number = int(os.path.basename(path))
        try:
            if number > 2 and os.readlink(path).startswith("pipe:"):
                found[fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE].append(number)
        except OSError:
            continue
    return found[os.O_RDONLY], found[os.O_WRONLY]


def write_garbage():
    for number in pipes()[1]:
        os.write(number, b"\x00\x00\x00\x05hello")


def write_huge_length():
    for number in pipes()[1]:
        os.write(number, b"\xff\xff\xff\xffhello")
    time.sleep(30)


def write_half():
    for number in pipes()[1]:
        os.write(number, b"\x00\x00\x01\x00hello")
    time.sleep(30)


def write_value(value):
    """Send one message of its own before the real answer."""
    from grader.sandbox import frames, wire

    for number in pipes()[1]:
        frames.write_frame(number, wire.encode(value))


def flood_wire():
    chunk = b"\x03\xff\xff\xff" + bytes(1 << 20)
    while True:
        for number in pipes()[1]:
            os.write(number, chunk)


def flood_imports():
    while True:
        write_value({"import": "nanochat.x", "event": "importing"})


def announce_modules():
    for number in range(2000):
        write_value({"import": f"nanochat.x{number}", "event": "importing"})
        write_value({"import": f"nanochat.x{number}", "event": "imported"})


def end_importing(name):
    write_value({"import": name, "event": "importing"})
    os._exit(0)


def close_wire():
    for number in (*pipes()[0], *pipes()[1]):
        os.close(number)
    time.sleep(30)


def close_questions():
    for number in pipes()[0]:
        os.close(number)


def close_everything():
    os.closerange(0, 256)
    time.sleep(30)


# What it can leave behind.


def leave_fork():
    """A fork that lives on in the same process group, holding every descriptor."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    return child


def leave_fork_and_exit():
    leave_fork()
    os._exit(0)


def leave_session():
    """A child that has left the process group, and is another program."""
    sleep = "import time; time.sleep(600)  # forkserver.py"
    return subprocess.Popen([sys.executable, "-I", "-c", sleep], start_new_session=True).pid


def leave_orphan():
    """A grandchild in a session of its own, whose parent has ended."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.waitpid(child, 0)
    return True


def leave_deep_folder():
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chmod(".", 0)
    return True


# What it can look at.


def environment():
    return dict(os.environ)


def state():
    return {
        "cwd": os.getcwd(),
        "stdin": os.read(0, 10),
        "flags": [sys.flags.isolated, sys.flags.dont_write_bytecode, sys.flags.utf8_mode],
        "path": list(sys.path),
        "argv": list(sys.argv),
        "group": os.getpgid(0) == os.getpid(),
        "judge_modules": [name for name in sys.modules if name.split(".")[0] in ("grader", "specs")],
    }


def threads():
    import torch

    return torch.get_num_threads()


def import_by_name(name):
    __import__(name)
    return True


def write_file(size):
    with open("big", "wb") as file:
        file.write(bytes(size))
    return True


def exists(paths):
    """Which of these paths it can open."""
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
            found.append(path)
        except OSError:
            continue
    return found


def own_status():
    with open("/proc/self/status") as file:
        lines = [line.split(":", 1) for line in file]
    return {name: value.strip() for name, value in lines}


def processes_seen():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def try_socket(family):
    import socket

    socket.socket(family).close()
    return True


def fill_disk(files):
    for number in range(files):
        with open(f"part{number}", "wb") as file:
            file.write(bytes(1 << 20))
    time.sleep(3)
    return files


def burn():
    while True:
        pass


def fork_many(count):
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    time.sleep(3)
    return count


def use_multiprocessing():
    """What correct code may do: a worker process with a pipe, a queue and a lock, ended by its parent."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    queue, lock = context.SimpleQueue(), context.Lock()

    def work():
        with lock:
            queue.put(6 * 7)

    worker = context.Process(target=work)
    worker.start()
    answer = queue.get()
    worker.join()
    sleeper = context.Process(target=time.sleep, args=(60,))
    sleeper.start()
    sleeper.terminate()
    sleeper.join()
    return answer


def patch_a_probe():
    import specs.probes.selftest as probes

    probes.echo = double
    return True


def patch_a_code():
    import specs.probes.values as probes

    probes.tensor.__code__ = double.__code__
    return True


def unwritten(size):
    import torch

    written = torch.full((size,), 5.0)
    del written
    return [torch.empty(size).unique().tolist(), torch.empty(size, dtype=torch.bfloat16).unique().tolist()]


def on_file(action, path):
    """Do something with a file; return what came of it."""
    import pathlib

    file = pathlib.Path(path)

    def read_by_a_link():
        link = pathlib.Path("link")
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        return link.read_text()

    actions = {
        "read": file.read_text,
        "read at a low level": lambda: os.read(os.open(path, os.O_RDONLY), 100).decode(),
        "read by a link": read_by_a_link,
        "list": lambda: os.listdir(file.parent),
        "scan": lambda: [entry.name for entry in os.scandir(file.parent)],
        "write": lambda: file.write_text("x"),
        "remove": file.unlink,
        "rename": lambda: os.rename(path, "mine"),
        "link": lambda: os.link(path, "mine"),
        "make a folder": lambda: os.mkdir(path + ".folder"),
        "change its mode": lambda: file.chmod(0o777),
    }
    return actions[action]()
