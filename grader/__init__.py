"""The grader: runs the properties of `specs` on a submission and reports what it found."""
