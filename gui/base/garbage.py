"""Python's garbage is collected in the window's thread alone.

Widgets that refer to each other are garbage that the collector deletes, in whatever thread it happens to run. Where that
is a worker's, Qt waits there until the window's thread has dealt with its events, and the window's thread waits for
Python, which the worker holds: the window stands still for ever.
"""

import gc

from pyqtgraph.util.garbage_collector import GarbageCollector

_SECONDS = 1.0
_collectors: list[GarbageCollector] = []


def collect_in_this_thread() -> None:
    """From now on collect where this is called, once a second at most, and nowhere else."""
    if not _collectors:
        _collectors.append(GarbageCollector(interval=_SECONDS))


def keep_what_is_there() -> None:
    """What exists now is never looked through again: the window and the modules stay as long as the program."""
    gc.freeze()
