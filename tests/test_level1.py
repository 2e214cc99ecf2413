"""Level 1 in this process: `pytest tests/test_level1.py [--submission DIR] [-k data]`, for a debugger.

`grader run --level 1` runs the same properties, with the submission in a process of its own.
"""

import pytest

from grader import levels

# What the submission warns about is not an error, here as in `grader run`.
pytestmark = pytest.mark.filterwarnings("default")

for law in levels.load(1).laws:
    # From the level itself and not by hand, so that none can be missing: test_encoding_...
    globals()[f"test_{law.id.replace('.', '_')}"] = law.check
