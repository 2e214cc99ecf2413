"""Ready-made folders for the platforms that classes are graded on: `grader export`."""
