"""Three ends of a call that is not wanted any more: never begun, told to stop, killed.

`reply.cancel()` is true if the message still waited; then it never runs. Else its handler sees that
in `self.context.cancelled`, and ends as it likes. One that does not look is killed by
`cancel(kill=True)`; its actor comes back. What is past its caller's timeout is not begun either.

Run it: procactors examples cancel

Expected output:

    waiting: True, and it never runs
    running: False, the handler is told: stopped early
    too late: AskTimeout
    stuck: False, killed: True
    handled: [1, 4]; expired: 1
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from procactors import Actor, ActorSystem
from procactors.errors import AskTimeout


class Worker(Actor):
    def __init__(self, log: Path) -> None:
        self.log = log

    def work(self, number: int, looks: bool = True) -> str:
        with self.log.open("a") as log:
            log.write(f"{number} ")
        while not (looks and self.context.cancelled):
            time.sleep(0.001)
        return "stopped early"


with ActorSystem() as system, TemporaryDirectory() as folder:
    log = Path(folder, "log")
    worker = system.spawn(Worker, log)

    running = worker.submit(Worker.work, 1)
    waiting = worker.submit(Worker.work, 2)
    while not log.exists() or not log.read_text():
        time.sleep(0.001)
    print(f"waiting: {waiting.cancel()}, and it never runs")
    print(f"running: {running.cancel()}, the handler is told: {running.result()}")

    stuck = worker.submit(Worker.work, 4, looks=False)
    while log.read_text() != "1 4 ":
        time.sleep(0.001)
    try:
        worker.options(timeout=0.1).ask(Worker.work, 5)
    except AskTimeout as error:
        print(f"too late: {type(error).__name__}")
    print(f"stuck: {stuck.cancel(kill=True)}, killed: {stuck.cancelled()}")
    while not worker.status().expired:
        time.sleep(0.001)
    numbers = [int(number) for number in log.read_text().split()]
    print(f"handled: {numbers}; expired: {worker.status().expired}")
