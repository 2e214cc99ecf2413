"""How the judge reaches a submission: in a process of its own, or, for debugging, in the judge's.

Theory of operation:

    judge                                             submission process
    ProcessProbe("cache.decode", ...)
      process.py   one loop: write the question,  ──► child.py   reads the question,
                   read the answer, drain what    ◄── answer.py  runs the probe, answers with a value
                   was printed, watch clock and                  or with what was raised
                   memory, kill
      launch.py    asks the fork server           ──► forkserver.py  has torch, forks
                   hears of the process's end     ◄── keeper.py      forks child.py, clears up after it
                                                      confine.py     what child.py gives up first
      conclude.py  an answer → a value, or an exception of `specs.outcomes`
    LocalProbe: the same answer.py and conclude.py with the bytes handed over in one process

`wire.py` and `frames.py` are the language between the two. Anything that the submission does wrong is an
exception `Submission...`; anything that goes wrong before it had a part in it is a `GraderFault`.

This file imports nothing: the submission process loads it on the way to `wire.py`.
"""
