"""What supervision needs of the place where actors run: protocols, and the values between them.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing.
Never: names a process, a pipe or a file: `processes` is one implementation, the tests have another.

    Backend.host ─► Host.start ─┬─► lifecycle.started, or start_failed
                                ├─► lifecycle.ready
                                └─► lifecycle.gone ─► Host.reap
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from procactors.crash import CrashReport, ExitReason, MessageInHand
from procactors.late_dataclass import dataclass
from procactors.light_tuple import NamedTuple
from procactors.model.options import Options
from procactors.supervision.health import Look

__all__ = ["Backend", "Ended", "Host", "Listener", "NextLife", "ReplyTo", "Tell", "Words"]


@dataclass(frozen=True)
class ReplyTo:
    """Where an answer goes: a reply pipe and a call id."""

    reply: int
    call: int


class NextLife(NamedTuple):
    """What an incarnation is started with.

    Attributes:
        start: number of this start in the system; a report with another number is late.
        incarnation: which life it is, from 1.
        parent: id of the actor that spawned it; 0 is the main program.
        extra: file with further constructor arguments; empty for none.
        options: the actor's.
        stop_timeout: seconds for which an orderly end may go on writing what waits to be sent.
        report: of the life before, for `on_restart`; None for the first, and after a recycling.
        seed: the incarnation's.
        dumps: whether the supervisor may ask it for its stacks.
    """

    start: int
    incarnation: int
    parent: int
    extra: str
    options: Options
    stop_timeout: float
    report: CrashReport | None
    seed: int
    dumps: bool


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: its exit code, negative for a signal; None if it is not known.
        lost: why it is not known.
        text, trace: the exception that ended it, in one line and whole; empty if none did.
        stacks: what faulthandler wrote in this life.
        log: the last lines that this life logged.
        peak: most resident bytes; 0 if that is not known, or not yet.
        peak_comes: `lifecycle.peak_known` is called with it in a moment.
    """

    code: int | None
    lost: str = ""
    text: str = ""
    trace: str = ""
    stacks: str = ""
    log: str = ""
    peak: int = 0
    peak_comes: bool = False


#: Says something of a death, once the report of it is complete.
Tell = Callable[[CrashReport], None]


class Words(Protocol):
    """Whole numbers by index: what an actor and its supervisor show each other."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Host(Protocol):
    """One actor's mailbox, and its process through all its incarnations.

    Attributes:
        pid: of its process; None while none is there.
        taps: what tests have its lives do with messages (see `runner.taps`): name and argument.
    """

    pid: int | None
    taps: dict[str, str]

    @property
    def words(self) -> Words:
        """Its phase, its message in hand, its orders ... (see `wire.mailbox.black_box`)."""

    # its process

    def start(self, life: NextLife) -> None:
        """Start a process; that it is there, ready or gone comes as an event. Raises: it cannot."""

    def send(self, number: int) -> None:
        """Send a signal to the process."""

    def kill(self) -> None:
        """SIGKILL the process and what it has started."""

    def is_suspended(self) -> bool:
        """Return whether the process is stopped, as by SIGSTOP or a debugger."""

    def reap(self, start: int) -> Ended:
        """Return how the process of that start has ended; kill what it left behind."""

    def let_go(self) -> None:
        """End the process, if there is one, behind an error of the supervisor's own."""

    def sweeper(self) -> Callable[[], None]:
        """Return what removes what the process that has ended had open."""

    def look(self, now: float) -> Look:
        """Return what can be seen of its progress."""

    def resident(self) -> int:
        """Return the resident bytes of the process; 0 if it is gone."""

    def peak(self) -> int:
        """Return the most resident bytes that the process ever had."""

    def expect_dump(self) -> None:
        """It is about to be asked for its stacks."""

    def dumped(self) -> int:
        """Return how many bytes of stacks it has written, being asked for them."""

    def forget_dump(self) -> None:
        """Drop what it has written of stacks."""

    # its mailbox

    def waiting(self) -> int:
        """Return how many messages wait."""

    def at_work(self) -> str | None:
        """Return the handler that the actor is in now; None: in none, or it has just gone on."""

    def has_in_hand(self, reply: int, call: int) -> bool:
        """Return whether a call is in hand, by its reply pipe and id; in a live actor, a glance."""

    def in_hand(self, *, is_alive: bool = False) -> tuple[MessageInHand, ...]:
        """Return the messages in hand: which ended it, if that is known; then the oldest first.

        Args:
            is_alive: its process may go on while it is looked at; else it is dead.
        """

    def crash_writer(self) -> Tell:
        """Return what writes a crash to the folder of crashes, with the message now in hand."""

    def recover(
        self, report: CrashReport, most: int, unwanted: tuple[int, int] | None = None
    ) -> Tell:
        """Decide on the messages in hand: the next life gets each, or it is lost.

        Args:
            report: of the death.
            most: how often each may be begun in all, not counting one that ended the actor by what
                it raised, which is lost; 0: all are.
            unwanted: reply pipe and id of the call for whose sake it was killed: that is lost.

        Returns:
            what answers the callers of the lost, or keeps them as dead letters.
        """

    def stop(self) -> None:
        """Put a stop into the mailbox, behind everything that the parent has sent."""

    def tap(self, name: str, argument: str) -> None:
        """Tell the life that there is of a tap, behind everything that the parent has sent."""

    def nudge(self) -> None:
        """Wake an actor that waits for a message, so that it looks at its words."""

    def tell(self, what: int, actor: int, number: int, facts: tuple[object, ...] | None) -> None:
        """Put an event into the mailbox. Raises: not possible just now."""

    def close_mailbox(self, why: str) -> None:
        """Close the mailbox for good, and answer everything in it."""

    def take_blueprint(self, path: str, is_shared: bool) -> None:
        """Take over the file with its class and arguments; if it `is_shared`, by another name."""

    def remove(self) -> None:
        """Close and remove everything."""


class Listener(Protocol):
    """Takes the events of a backend (`lifecycle` does); actors are named by their ids."""

    def started(self, actor: int) -> None:
        """The process of a start is there, and its end will be noticed."""

    def start_failed(self, actor: int, error: Exception) -> None:
        """No process came of a start."""

    def start_broke(self, actor: int, error: Exception) -> None:
        """A start was broken off by an error of ours."""

    def start_lost(self, actor: int) -> None:
        """A start was lost before it had a process: it is to be made anew."""

    def ready(self, actor: int, start: int, decides: int) -> None:
        """The incarnation of that start has done its `on_start`."""

    def gone(self, actor: int) -> None:
        """A process has ended."""

    def peak_known(self, start: int, peak: int) -> None:
        """The peak memory of the process of a start is known."""


class Backend(Protocol):
    """Where the actors of one system run, and what is said to their callers.

    Attributes:
        taps: those of all actors that are spawned from now on (see `Host`).
    """

    taps: dict[str, str]

    def host(self, actor: int, name: str, class_name: str, options: Options) -> Host:
        """Make the host of a new actor. Raises OSError: no room, or no descriptor."""

    def expect(self) -> None:
        """A start is being prepared, and its order will follow: have what can be ready for it."""

    def answer(self, who: ReplyTo, value: object, trace: str = "") -> bool:
        """Answer a call; an exception is raised there, with that remote traceback if any.

        Returns:
            False: an error was sent instead, or the caller waits no more.
        """

    def up(self, name: str) -> None:
        """An actor of that name is up: letters may have been kept for it."""

    def forget(self, actor: int) -> None:
        """An actor is over: close what is open for sending to it."""

    def overdue(self) -> None:
        """A start has no answer long behind its time: make all starts without one anew."""

    def judge(self, reason: ExitReason, now: float) -> ExitReason:
        """Return the reason of an end, corrected if the machine was short of memory."""

    def was_short(self, peak: int) -> bool:
        """Return whether memory was short for a process that has died with `peak` bytes."""

    def ended(self, name: str, reason: ExitReason, handler: str | None, suspended: bool) -> None:
        """An actor is over: count it for the report of a system's stop."""
