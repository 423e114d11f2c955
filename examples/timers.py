"""A service with timers: it writes in batches, saves when nothing changes, and ends when idle.

Timers run in the actor itself, between two messages: no thread, no lock, no race with a handler.

Run it: procactors examples timers

Expected output:
    saved 3 lines
    idle: closing
    the journal ended normally
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from procactors import Actor, ActorSystem, Terminated


class Journal(Actor):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[str] = []

    def on_start(self) -> None:
        # Every 0.2 s, on a grid that does not drift; what a slow handler misses is left out.
        self.context.every(0.2, Journal.flush)
        self.context.idle_after(1.5)

    def write(self, line: str) -> None:
        self.waiting.append(line)
        # There is one timer of a name, so each line puts it off.
        self.context.after(0.5, Journal.save, name="save")

    def flush(self) -> None:
        if self.waiting:
            with self.path.open("a") as file:
                file.writelines(f"{line}\n" for line in self.waiting)
            self.waiting.clear()

    def save(self) -> None:
        print(f"saved {len(self.path.read_text().splitlines())} lines", flush=True)

    def on_idle(self) -> None:  # no message for 1.5 s
        print("idle: closing", flush=True)
        self.context.stop()


with TemporaryDirectory() as folder, ActorSystem() as system:
    inbox = system.inbox()
    journal = system.spawn(Journal, Path(folder, "journal"))
    inbox.watch(journal)
    journal.tell_many(Journal.write, [("one",), ("two",), ("three",)])
    ended = inbox.receive()
    assert isinstance(ended, Terminated)
    print("the journal", ended.reason)
