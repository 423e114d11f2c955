"""The actor of the program that counts starts: with nothing to import but what is there anyway."""

from __future__ import annotations

import os
import resource


class First:
    """Has come up when it answers."""

    def first(self, mark: str) -> tuple[int, int]:
        """Leave a mark; return this process's number and its page faults so far."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        os.access(mark, os.F_OK)
        return os.getpid(), faults
