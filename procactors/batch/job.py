"""A batch job from its first item to its exit code.

Layer: batch. Runs in: parent, main thread.
Owns: the actor system, the files of output and errors, the journal, for the length of `run_job`.
Never: begins an item before all that was asked for makes sense; ends with a worker left.

    input ─► flow ─► pool ─► worker: call, JSON, journal ─► outcome ─┬─► output
              └── what the journal has ──────────────────────────────┘ └─► errors

What workers on other machines have done is noted here, when its outcome comes: they do not see the
file.
"""

from __future__ import annotations

import contextlib
import os
from time import monotonic
from typing import Any

from procactors import ActorSystem, Pool
from procactors.api.stop_signal import StopSignal
from procactors.batch.console import open_console
from procactors.batch.intake import Intake
from procactors.batch.item_flow import ItemFlow
from procactors.batch.items import Entry, Inputs
from procactors.batch.journal import Journal, JournalError
from procactors.batch.results import Abandoned, ErrorLog, Output
from procactors.batch.settings import Settings
from procactors.batch.summary import Summary
from procactors.batch.worker import ItemFailed, Runner
from procactors.batch.workers import backend_of, open_system, start_workers
from procactors.errors import ActorDied, DeliveryError, InvalidSpec, ProcActorsError
from procactors.pool.job_map import ItemOutcome, JobMap
from procactors.process.signals import handled_by
from procactors.wire.raised import cause_of, said

__all__ = ["BROKEN", "FAILED", "Settings", "run_job"]

#: Exit codes: some items failed; the job itself could not go on.
FAILED, BROKEN = 1, 3

#: Seconds between two writes of the journal to the disk: what a power cut may cost.
_SYNC_S = 1.0
#: Seconds between two looks while nothing comes: no load, and a signal is not heard much later.
_LOOK_S = 1.0
#: Seconds for workers that have nothing in hand to end.
_STOP_S = 5.0


def run_job(settings: Settings, out: int) -> int:
    """Run a job to its end; return its exit code.

    Blocks until every worker has ended.

    Args:
        settings: what is asked for; the target is known to be good.
        out: descriptor of the standard output.

    Raises:
        InvalidSpec: input, output or journal make no sense; nothing was run or written.
        BrokenPipeError: the reader of the output has gone.
    """
    with contextlib.ExitStack() as files:
        return _Job(settings, out, files).run()


class _Job:
    """One run; it is the judge of its map, too (`pool.job_map.Judge`)."""

    def __init__(self, settings: Settings, out: int, files: contextlib.ExitStack) -> None:
        self._settings = settings
        self._summary = Summary()
        self._stop = StopSignal(settings.grace)
        self._broken: Exception | None = None
        self._backend = backend_of(settings)
        inputs = Inputs(settings.items, settings.input)
        _check_apart(settings, inputs.files)
        self._journal: Journal | None = None
        if settings.resume is not None:
            self._journal = Journal(settings.resume, settings.target, settings.spread)
            files.enter_context(self._journal)
        fd = _opened(settings.output, files) if settings.output is not None else out
        if fd < 0:
            raise InvalidSpec("the standard output is closed; --output FILE writes elsewhere")
        errors = _opened(settings.errors, files) if settings.errors is not None else None
        # Results on a terminal would tear a bar on it; --quiet wants none, but by --progress.
        is_plain = settings.quiet or os.isatty(fd)
        mode = "none" if settings.progress == "auto" and is_plain else settings.progress
        count = None if mode == "none" else inputs.count()
        self._console = files.enter_context(open_console(mode, settings.target, count))
        self._errors = ErrorLog(errors, self._console.say)
        self._intake = Intake(inputs.entries(), inputs.may_block)
        self._flow = ItemFlow(
            self._intake,
            Output(fd, settings.bare, self._stop.is_over),
            self._journal,
            settings.ordered or settings.bare,
            self._refused,
            lambda: self._stop.signum is not None or self._broken is not None,
        )
        self._synced = 0

    def run(self) -> int:
        """Run the job to its end; return its exit code."""
        began = monotonic()
        with handled_by(self._stop), self._console.logged():
            try:
                self._work()
            except (InvalidSpec, BrokenPipeError):
                raise
            except (ProcActorsError, OSError) as error:
                self._broken = self._broken or error
            except Abandoned:
                pass
            except KeyboardInterrupt:
                if self._stop.signum is None:  # raised by hand: no signal came
                    raise
            self._intake.close()
            self._console.close()
            self._tell(monotonic() - began)
        if self._broken is not None:
            return BROKEN
        if self._stop.signum is not None:
            return self._stop.exit_code
        return FAILED if self._summary.failed else 0

    # -- the pool -------------------------------------------------------------------------------

    def _work(self) -> None:
        settings = self._settings
        with open_system(settings, self._backend) as system:
            try:
                pool = self._stop.interruptible(self._start, system)
                self._summary.workers = pool.size
                job = pool._job_map(
                    Runner.run,
                    self._flow,
                    self,
                    ordered=settings.ordered or settings.bare,
                    chunk=settings.chunk or "auto",
                    timeout=settings.timeout,
                )
                job.wait_s = self._wait_s()
                self._stop.on_signal = job.wake
                self._intake.begin(job.wake)
                try:
                    self._drive(job)
                finally:
                    self._summary.restarts = _restarts(pool)
                system.stop(min(_STOP_S, self._stop.left_s))
            except BaseException:
                system.kill()
                raise

    def _start(self, system: ActorSystem) -> Pool[Runner]:
        journal = None if self._journal is None else self._journal.path
        return start_workers(system, self._settings, self._backend, journal)

    def _drive(self, job: JobMap) -> None:
        """Take what comes until nothing more does."""
        synced_at = monotonic()
        for outcomes in job.batches():
            for outcome in outcomes:
                self._put(outcome)
            self._flow.flush()
            self._show()
            if self._is_ending() and not job.draining:
                job.drain()
            if self._stop.is_over():
                raise Abandoned
            if monotonic() - synced_at >= _SYNC_S:
                self._sync()
                synced_at = monotonic()
            job.wait_s = self._wait_s()
        self._flow.finish()
        self._show()
        self._sync()

    def _show(self) -> None:
        self._summary.skipped = self._flow.skipped
        if self._flow.is_all:
            self._console.total(self._flow.taken)  # from now on it is no estimate
        self._console.advance(self._summary.seen, self._summary.failed)

    def _is_ending(self) -> bool:
        return self._stop.signum is not None or self._broken is not None

    def _wait_s(self) -> float:
        """Return the seconds after which there is something to do even if nothing comes.

        Never for ever: a signal that comes between Python's last look and the system call that
        waits interrupts nothing, and its handler runs only when the waiting is over.
        """
        return min(_LOOK_S, self._stop.left_s)

    def _sync(self) -> None:
        if self._journal is not None and self._synced < self._summary.done:
            self._synced = self._summary.done
            self._journal.sync()

    # -- outcomes -------------------------------------------------------------------------------

    def _put(self, outcome: ItemOutcome) -> None:
        """Put one outcome where it belongs."""
        entry = self._flow.entry(outcome.item)
        if outcome.is_good:
            result, seconds, peak, is_noted = outcome.value
            if self._journal is not None and not is_noted:
                self._journal.append(outcome.item[1], entry.number, seconds, result)
            self._summary.finished(entry.number, entry.item, seconds, peak)
            self._flow.came(entry, result)
            return
        self._flow.came(entry, None)
        error = outcome.value
        if isinstance(error, (JournalError, DeliveryError)):
            # Not the item's fault; it is not done, and will be when the job is run again.
            self._broken = self._broken or error
            return
        self._summary.failed += 1
        report = error.report if isinstance(error, ActorDied) else None
        if report is not None:
            self._summary.peak_memory = max(self._summary.peak_memory, report.peak_memory)
        plain = report.to_dict() if report is not None else None
        self._errors.put(entry, _plain(error), outcome.tries, plain)

    def _refused(self, entry: Entry) -> None:
        self._summary.failed += 1
        error = {"type": "InputError", "message": entry.error, "traceback": ""}
        self._errors.put(entry, error, 0, None)

    def salvage(self, item: Any, error: BaseException) -> Any:
        """Return the result of an item whose worker ended between its journal and its answer."""
        if self._journal is None or not isinstance(error, ActorDied):
            return None
        self._journal.refresh()
        position = self._journal.find(item[1])
        return None if position is None else (self._journal.result(position), 0.0, 0, True)

    def tries_again(self, item: Any, error: BaseException, tries: int) -> bool:
        """Say whether an item may be begun once more."""
        return tries <= self._settings.retries and not isinstance(error, JournalError)

    # -- the end --------------------------------------------------------------------------------

    def _tell(self, seconds: float) -> None:
        self._errors.close()
        if self._broken is not None:
            self._console.say(f"the job could not go on: {self._broken}")
        if self._settings.quiet:
            return
        ended = self._stop.why
        if self._is_ending() and self._journal is not None:
            again = f"go on with --resume {self._settings.resume}"
            ended = f"{ended}; {again}" if ended else again
        for line in self._summary.lines(seconds, ended):
            self._console.say(line)


def _restarts(pool: Pool[Runner]) -> int:
    count = 0
    for worker in pool.workers():
        with contextlib.suppress(ProcActorsError):  # it has gone meanwhile
            count += worker.status().restarts
    return count


def _plain(error: BaseException) -> dict[str, str]:
    """Return an exception as plain values."""
    if isinstance(error, ItemFailed):
        return {"type": error.kind, "message": error.text, "traceback": error.traceback}
    trace = getattr(cause_of(error), "text", "")
    message = said(error)
    if isinstance(error, ActorDied) and error.report is not None:
        # The rest is in the report.
        message = message.removesuffix(error.report.brief()).rstrip("; ")
        message = (
            f"{message}; worker {error.report.reason}"
            if message
            else f"worker {error.report.reason}"
        )
    return {"type": type(error).__qualname__, "message": message, "traceback": trace}


def _check_apart(settings: Settings, inputs: list[str]) -> None:
    """See that no file has two parts to play: what is written would destroy what is read.

    Raises:
        InvalidSpec: one has.
    """
    files = [("input", name) for name in inputs]
    for word, name in (
        ("--output", settings.output),
        ("--errors", settings.errors),
        ("--resume", settings.resume),
    ):
        if name is None:
            continue
        for other, path in files:
            same = os.path.realpath(name) == os.path.realpath(path)
            if same and os.path.isfile(name) | (not os.path.exists(name)):
                raise InvalidSpec(f"{name} is both {other} and {word}")
        files.append((word, name))


def _opened(path: str, files: contextlib.ExitStack) -> int:
    """Open a file for writing, from its beginning."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be written: {error.strerror}") from None
    files.callback(os.close, fd)
    return fd
