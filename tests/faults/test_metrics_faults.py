"""What is counted is exact to the last message, at whatever line the reader is killed.

Lines will do here: none of them stores twice to what outlives the process.
"""

from __future__ import annotations

import collections
import os

import pytest

from procactors.wire.mailbox import metered
from procactors.wire.mailbox.black_box import HANDLED, HANDLED_OWN
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.meter import Meter
from procactors.wire.mailbox.metered import MeteredReader
from procactors.wire.mailbox.writer import MailboxWriter
from tests.support.metered import A, B, counts, reader_of, record_of, serve
from tests.support.steps import LINES, deaths

#: Methods of messages, in the order in which they are sent; None: a record of the runtime's own.
RECORDS = (A, A, B, None, B, A)


@pytest.mark.parametrize(
    "functions",
    [
        (MeteredReader.step,),
        (MeteredReader.turn, MeteredReader._count, MeteredReader.advance, metered.add),
        (Meter.shows, Meter._made, Meter._settle, MeteredReader.done),
    ],
    ids=["step", "count", "rows"],
)
def test_a_reader_killed_at_any_line_is_counted_to_the_last_message(tmp_path, functions):
    """By the next one. What is handled and not in the box's own count, no one counts."""
    path = str(tmp_path / "mailbox")
    sent = collections.Counter(method for method in RECORDS if method is not None)

    def live(_: int) -> None:
        writer, reader = MailboxWriter(path, lambda _: None), reader_of(path)
        for part in (RECORDS[:4], RECORDS[4:]):
            for method in part:
                writer.send_control(record_of(method))
            serve(reader)

    for step in deaths_with_fresh(tmp_path, live, functions):
        writer, reader = MailboxWriter(path, lambda _: None), reader_of(path)
        serve(reader)
        writer.send(record_of(A))
        serve(reader)
        words = reader.box.words
        found, handled = counts(path), words[HANDLED] - words[HANDLED_OWN]
        assert sum(found.values()) == handled, f"step {step}: {found}"
        for method in (A, B):
            most = sent[method] + (method == A)
            assert found.get(method, 0) <= most, f"step {step}: {found}"
        reader.close()
        writer.close()


def deaths_with_fresh(tmp_path, live, functions):
    """Yield behind each death, with a mailbox of its own for each."""
    files = MailboxFiles(str(tmp_path / "mailbox"))
    try:
        for step in deaths(live, functions, LINES):
            yield step
            files.close()
            os.rename(tmp_path / "mailbox", tmp_path / f"old-{step}")
            files = MailboxFiles(str(tmp_path / "mailbox"))
    finally:
        files.close()
