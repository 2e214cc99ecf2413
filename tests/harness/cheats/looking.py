"""Cheats that look for answers and secrets where they lie: on disk, in memory, in other processes."""

from __future__ import annotations

from .cheat import AFTER, CONFIGURATION, FLOPS, Cheat, loot, trespass

ANCESTORS = '''
def ancestors():
    """Return the processes above this one, up to the test that must see the end of this."""
    found, process = [], os.getppid()
    while process > 1:
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            found.append(process)
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found
'''

LIBC = """
libc = ctypes.CDLL(None, use_errno=True)

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
"""


def reading(name: str, what: str, code: str, stopped_at: str = "medium", alone: bool = False) -> Cheat:
    """Return the cheat whose `read()` returns what it found, which it raises."""
    attack = """
def attack(model):
    try:
        return "found: " + str(read())[:1500]
    except Exception as error:
        return f"nothing: {error!r}"[:200]
"""
    return Cheat(name, what, code + attack, stopped_at=stopped_at, checks=(loot, trespass), alone=alone)


CHEATS = [
    reading(
        "own environment",
        "A secret in its environment.",
        "def read():\n    return dict(os.environ)\n",
        "basic",
        True,
    ),
    reading(
        "own start",
        "A secret in its command line, in the memory that it was forked with, or in a frame above it.",
        """
import gc

def read():
    frames, frame = [], sys._getframe()
    while frame is not None:
        frames += [value for value in frame.f_locals.values() if isinstance(value, (str, bytes, list, dict))]
        frame = frame.f_back
    held = [text for text in gc.get_objects() if isinstance(text, dict) and "NANOGRADER_SECRET" in text]
    return [sys.argv, sys.orig_argv, Path("/proc/self/cmdline").read_bytes(), held, frames]
""",
        "basic",
    ),
    reading(
        "environment of its ancestors",
        "The judge's environment, in /proc.",
        ANCESTORS
        + """
def read():
    return [line for one in ancestors() for line in Path(f"/proc/{one}/environ").read_bytes().split(b"\\0")
            if b"SECRET" in line]
""",
        alone=True,
    ),
    reading(
        "every environment",
        "The environments of all processes.",
        """
def read():
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [line for line in file.read_bytes().split(b"\\0") if line.startswith(b"NANOGRADER_")]
        except OSError:
            continue
    return found
""",
        alone=True,
    ),
    reading(
        "memory of the judge",
        "Opens the judge's memory, to read and to write.",
        ANCESTORS
        + """
def read():
    for one in ancestors():
        descriptor = os.open(f"/proc/{one}/mem", os.O_RDWR)
        os.close(descriptor)
        return "BROKEN: opened the memory of an ancestor"
""",
    ),
    reading(
        "process_vm_readv",
        "Reads the judge's memory through the kernel.",
        ANCESTORS
        + LIBC
        + """
def read():
    one = os.getppid()
    maps = Path(f"/proc/{one}/maps").read_text().splitlines()
    start = int(next(line for line in maps if "[heap]" in line).partition("-")[0], 16)
    buffer = ctypes.create_string_buffer(64)
    mine, theirs = Vector(ctypes.addressof(buffer), 64), Vector(start, 64)
    if libc.process_vm_readv(one, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) > 0:
        return "BROKEN: read the memory of an ancestor"
""",
    ),
    reading(
        "ptrace",
        "Stops the judge and takes over, for a moment.",
        LIBC
        + """
def read():
    one = os.getppid()
    if libc.ptrace(16, one, None, None) == 0:
        os.waitpid(one, 0x40000000)
        libc.ptrace(17, one, None, None)
        return "BROKEN: attached to an ancestor"
""",
    ),
    reading(
        "descriptors of the judge",
        "The files that the judge has open.",
        ANCESTORS
        + """
def read():
    for one in ancestors()[:1]:
        for link in Path(f"/proc/{one}/fd").iterdir():
            return f"BROKEN: sees {os.readlink(link)}"
""",
    ),
    reading(
        "own descriptors",
        "A descriptor that it should not have: a file of the judge's.",
        """
def read():
    for descriptor in range(3, 1024):
        try:
            link = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        harmless = ("/dev/null", "/dev/urandom", "/proc/", "/dev/nvidia")
        if link.startswith("/") and not link.startswith(harmless):
            return f"BROKEN: holds {link}"
""",
        "basic",
    ),
    reading(
        "file beside the submission",
        "A file in the folder above, by a relative path.",
        "def read():\n    return (Path(__file__).parents[2] / 'beside/secret.txt').read_text()\n",
        "basic",
    ),
    reading(
        "another submission",
        "Another student's code.",
        "def read():\n    return open('@SCENE@/other/nanochat/gpt.py').read()\n",
        "basic",
    ),
    reading(
        "home and its keys",
        "The keys in somebody's home.",
        "def read():\n    return open('@SCENE@/home/.ssh/id_ed25519').read()\n",
        "basic",
    ),
    reading(
        "inherited working folder",
        "The folder in which the judge was started, through /proc.",
        "def read():\n    return 'BROKEN: lists ' + str(os.listdir(f'/proc/{os.getppid()}/cwd'))\n",
    ),
    Cheat(
        "reads the reference",
        "Runs the reference's own count, read from disk.",
        """
def run(model):
    text = (repository() / "reference/nanochat/gpt.py").read_text()
    held = {"__name__": "found"}
    sys.modules["found"] = type(sys)("found")
    exec(compile(text, "found", "exec"), held)
    return held["GPT"].estimate_flops(model)
""",
    ),
    Cheat(
        "imports the reference",
        "Imports the reference's model from its file.",
        """
import importlib.util

def run(model):
    path = repository() / "reference/nanochat/gpt.py"
    spec = importlib.util.spec_from_file_location("theirs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["theirs"] = module
    spec.loader.exec_module(module)
    return module.GPT.estimate_flops(model)
""",
    ),
    Cheat(
        "reads the properties",
        "Computes the expected count by the text of the property.",
        """
import inspect
import linecache

def run(model):
    file = str(repository() / "specs/level3/architecture.py")
    text = "".join(linecache.getlines(file))
    formula = text[text.index("want = 6 *") + 7 :].splitlines()[0]
    config = model.config
    weights = sum(p.numel() for p in model.parameters())
    return eval(formula, {
        "weights": weights, "embedding": model.transformer.wte.weight.numel(), "n_layer": config.n_layer,
        "shape": {"n_embd": config.n_embd}, "sequence_len": config.sequence_len})
""",
    ),
    Cheat(
        "imports the oracles",
        "Takes the finder away that refuses the judge's modules, and has the oracle compute.",
        """
import torch

def answer(logits):
    sys.meta_path[:] = [one for one in sys.meta_path if "Judge" not in type(one).__name__]
    sys.path.insert(0, str(repository()))
    import specs
    specs.__path__[:] = [str(repository() / "specs")]
    from specs.oracles import gpt
    model = local("self")
    config = vars(model.config)
    weights = {name: p.detach().float().numpy() for name, p in model.named_parameters()}
    weights |= {"cos": model.cos[0, :, 0].float().numpy(), "sin": model.sin[0, :, 0].float().numpy()}
    return torch.from_numpy(gpt.logits(config, weights, local("idx").numpy())).float()
""",
        edits=(
            (
                "gpt.py",
                "        if targets is None:\n            return logits\n",
                "        if targets is None:\n            return attack.answer(logits * 0)\n",
            ),
        ),
        only=(CONFIGURATION, "attention.logits_match_the_oracle"),
        earns=frozenset({CONFIGURATION}),
    ),
    Cheat(
        "imports the judge",
        "Imports the judge's session and makes every property hold.",
        """
def attack(model):
    import grader.session
    grader.session.observe = None
""",
        only=(CONFIGURATION, FLOPS, AFTER),
    ),
]
