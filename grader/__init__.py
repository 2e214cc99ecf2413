"""The judge: it draws inputs, asks a submission through probes, and decides. It never imports one."""

import os

# Before NumPy is imported: the oracles multiply matrices of a few dozen rows. A judge that starts a thread
# for every core to do so is slower, the more so where many judges share a machine.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
