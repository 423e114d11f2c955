"""A poison message: quarantined, kept in a file, and replayed when its actor is long gone.

With `Delivery.AT_LEAST_ONCE` the message in hand of a dead process is handed to the next one. A
message that kills each of them would do so for ever; after `max_deliveries` it becomes a dead
letter instead, and the next message is handled. In the file the letter survives the program, with
all that it takes to run it again, here in another process: `procactors dead-letters`.

Run it: procactors examples dead_letters

Expected on stderr, where the runtime reports each death:

    actor parser (incarnation 1, pid ...) exited with code 3 in handler Parser.parse...
    dead letter: Parser.parse of parser: actor parser (incarnation 2, ...
    … 1 more like this; the last: actor parser (incarnation 2, pid ...) exited with...

Expected output:

    handled all the same: 7 words
    dead letters: {'parser': 1}
    deliveries: 2, killed its actor: True
    ID  TIME ... ACTOR   HANDLER       BEGUN  STATE   REASON
    1   ...  parser  Parser.parse  2      killed  actor parser ...
    the replay ends with code 1:
        sys.exit(3)  # as a library might
    SystemExit: 3
"""

import os
import subprocess
import sys
import tempfile

from procactors import ActorSystem, DeadLetter, Delivery


class Parser:
    def __init__(self) -> None:
        self.words = 0

    def parse(self, text: str) -> int:
        for word in text.split():
            if word == "%%EOF":
                sys.exit(3)  # as a library might
            self.words += 1
        return self.words


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `procactors dead-letters` as from a shell."""
    line = [sys.executable, "-m", "procactors", "dead-letters", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


with tempfile.TemporaryDirectory() as folder:
    file = os.path.join(folder, "letters")
    letters: list[DeadLetter] = []

    with ActorSystem(dead_letter_file=file) as system:
        system.dead_letters.subscribe(letters.append)
        options = system.options(
            name="parser", delivery=Delivery.AT_LEAST_ONCE, max_deliveries=2, max_restarts=5
        )
        parser = options.spawn(Parser)
        parser.tell(Parser.parse, "trailer %%EOF")
        print(
            "handled all the same:", parser.ask(Parser.parse, "to be or not to be, that"), "words"
        )

    # Letters come behind the next life, and are read here when the system has stopped.
    print("dead letters:", system.dead_letters.counts())
    (letter,) = letters
    print(f"deliveries: {letter.deliveries}, killed its actor: {letter.killed}")

    print(command("list", file).stdout, end="")
    replay = command("replay", file, "1")
    print(f"the replay ends with code {replay.returncode}:")
    for line in replay.stderr.splitlines():
        if "sys.exit" in line or "SystemExit" in line:
            print(line)
