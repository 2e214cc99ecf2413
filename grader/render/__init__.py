"""A report as text: every renderer is a pure function of a `Report` and sees nothing else."""
