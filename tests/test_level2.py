"""Level 2 in this process: `pytest tests/test_level2.py [--submission DIR] [-k schedule]`, for a debugger.

`grader run --level 2` runs the same properties, with the submission in a process of its own.
"""

import pytest

from grader import levels

# What the submission warns about is not an error, here as in `grader run`.
pytestmark = pytest.mark.filterwarnings("default")

for law in levels.load(2).laws:
    # From the level itself and not by hand, so that none can be missing: test_schedule_...
    globals()[f"test_{law.id.replace('.', '_')}"] = law.check
