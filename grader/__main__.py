"""`python -m grader`, for a folder in which the command is not installed."""

from grader.cli import main

raise SystemExit(main())
