"""What follows from how a batch has ended: what is run again, and whose fault a death is.

Layer: pool. Runs in: the pool's process, under the dispatcher's lock.
Owns: nothing.
Never: blames an item that was not begun.

    answer ─┬─► all done
            ├─► could not be loaded together ─► one by one
            └─► death ─┬─► nothing looked at ─► again
                       ├─► loading the function ─► again, but not for ever
                       ├─► nobody sees which one it had in hand ─► again, one by one
                       └─► an item in hand ─► its owner says; the others again
"""

from __future__ import annotations

from procactors.crash import CrashReport
from procactors.errors import ActorDied, ActorStopped, Quarantined
from procactors.pool.batch import QUARANTINE, Batch, Span, refuse
from procactors.runner.batches import Outcome
from procactors.wire.result_table import FUNCTION, LOADING

__all__ = ["NEVER_BEGUN", "BatchPolicy"]

#: Stands for the answer to a batch that was never begun, or of which all that was is done.
NEVER_BEGUN = Outcome(0, 0, "")
#: Deaths of one worker in a row, each with a batch in hand that it has not looked at, after which
#: the batch's first item is taken to be the cause.
_FALSE_STARTS = 3


class BatchPolicy:
    """Decides on the ended batches of one pool; remembers which functions have ended workers."""

    def __init__(self) -> None:
        # Deaths while a function was loaded, and the report of the last.
        self._deaths: dict[bytes, tuple[int, CrashReport]] = {}

    def fatal(self, span: Span) -> Quarantined | None:
        """Return why no worker is to load a span's function any more, if that is so."""
        if not self._deaths or span.function not in self._deaths:
            return None
        deaths, report = self._deaths[span.function]
        if deaths < QUARANTINE:
            return None
        return Quarantined(
            f"{span.name.decode().rpartition(':')[2]} has ended {deaths} workers while it was "
            f"loaded, before any item was begun, and this pool does not try it again; look at what "
            f"its module does when it is imported; {report.brief()}",
            report,
        )

    def follow(self, batch: Batch, done: int, outcome: object) -> list[Span]:
        """Return what is to be sent again of a batch that has ended, `done` items being done.

        Args:
            batch: what has ended.
            done: how many of its items are marked.
            outcome: the worker's `Outcome`, or the exception that stands for it.
        """
        rest = [span for span, _ in batch.parts(done, batch.stolen_from)]
        if isinstance(outcome, Outcome):
            return self._answered(batch, rest, outcome)
        if isinstance(outcome, ActorStopped) or not rest:
            return rest
        if isinstance(outcome, ActorDied) and outcome.report is not None:
            return self._died(batch, rest, outcome.report)
        reason = outcome if isinstance(outcome, Exception) else RuntimeError(f"found {outcome!r}")
        if isinstance(outcome, ActorDied):
            first = rest[0]
            refuse([first.part(first.start, first.start + 1)], reason)
            others = [first.part(first.start + 1, first.stop)] if len(first) > 1 else []
            return others + rest[1:]
        refuse(rest[:1], reason)
        return rest[1:]

    def _answered(self, batch: Batch, rest: list[Span], outcome: Outcome) -> list[Span]:
        first = batch.spans[0]
        batch.slot.false_starts = 0
        first.owner.pace.seen(outcome.done, outcome.spent_ns / 1e9)
        if outcome.done:
            self._deaths.pop(first.function, None)
        if outcome.trouble and rest:
            rest[0].owner.unreadable(rest[0], outcome.trouble)
            return rest[1:]
        return rest

    def _died(self, batch: Batch, rest: list[Span], report: CrashReport) -> list[Span]:
        """Return what is to be sent again after a worker's death with a batch in hand."""
        slot = batch.slot
        if not batch.has_started and slot.false_starts < _FALSE_STARTS:
            slot.false_starts += 1  # killed before it looked at the batch, as a rule
            return rest
        is_timed = batch.timeout is not None  # then each item was told as it began
        if batch.result_table.is_blind and batch.count > 1 and not is_timed:
            # Which one was it? None is blamed for another's deed.
            return [single for span in rest for single in span.singles()]
        first, others = rest[0], rest[1:]
        loading = batch.result_table.words[LOADING]
        if loading == FUNCTION:
            # No item of it was begun. Sent again, it is refused if that was once too often.
            self._deaths[first.function] = self._deaths.get(first.function, (0,))[0] + 1, report
            return rest
        if loading and first.load.count > 1:
            # It died while it unpickled them together: which one was it?
            first.owner.unreadable(first, report.brief())
            return others
        if len(first) > 1:
            others.insert(0, first.part(first.start + 1, first.stop))
            first = first.part(first.start, first.start + 1)
        again = first.owner.died(first, report)
        # Behind what was not begun, as the last resort: it may end the next worker as well.
        return others if again is None else [*others, again]
