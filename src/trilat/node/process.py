"""How a process of ours uses the interpreter: what a long-running node sets once, after it has started. Changes the process."""

import gc
import sys

# A collection of the youngest after this many new containers: a full batch makes a few thousand, all gone a moment later.
NEW_CONTAINERS = 50_000
YOUNG_PER_OLDER = 20
# A thread that wants the interpreter waits for it at most this long (Python's default is 5 ms: a flash would wait that long
# for each hand-over between network and disk while bulk is at work).
SWITCH_S = 0.0005


def settle() -> None:
    """Set what stands after the start aside, and let collections and switches of threads suit a node.

    Cycles are still collected. Without this, a catch-up spends half of its processor time looking at objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_CONTAINERS, YOUNG_PER_OLDER, YOUNG_PER_OLDER)
    sys.setswitchinterval(SWITCH_S)
