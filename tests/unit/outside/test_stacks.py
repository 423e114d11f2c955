"""What faulthandler writes is read back, thread by thread."""

from __future__ import annotations

import os

from procactors.outside.stacks import Frame, Stack, is_runtimes, parse_dump, without_ours
from procactors.wire.raised import _PACKAGE, FATAL, last_dump

DUMP = """\
Thread 0x00007f5 (most recent call first):
  File "/a/b.py", line 12 in wait
  File "/usr/lib/python3/threading.py", line 1002 in _bootstrap

Current thread 0x00007f6 (most recent call first):
  File "/a/odd ", line 3".py", line 7 in main
  File "/a/b.py", line ??? in <module>
"""


def test_each_stack_of_a_dump_is_read():
    other, main = parse_dump(DUMP)
    assert other.frames[0] == Frame("/a/b.py", 12, "wait")
    assert main.frames == (
        Frame('/a/odd ", line 3".py', 7, "main"),
        Frame("/a/b.py", 0, "<module>"),
    )


def test_a_text_that_is_no_dump_has_no_threads():
    assert parse_dump("") == ()
    assert parse_dump('  File "/a/b.py", line 12 in wait\n') == ()


def test_what_a_thread_wrote_of_itself_is_no_part_of_a_dump_of_all():
    single = 'Stack (most recent call first):\n  File "/a/c.py", line 1 in alone\n  ...\n'
    assert last_dump(single + DUMP + single) == DUMP
    assert last_dump(single) == ""
    assert parse_dump(single)[0].frames == (Frame("/a/c.py", 1, "alone"),)


def test_of_dumps_behind_each_other_the_last_one_is_found():
    later = DUMP.replace("wait", "later")
    assert last_dump(DUMP + later) == later
    assert last_dump(DUMP) == DUMP
    assert last_dump("") == ""
    assert FATAL not in last_dump(DUMP)


def test_the_runtimes_frames_and_the_start_of_the_process_are_left_out():
    ours = Frame(os.path.join(_PACKAGE, "runner", "loop.py"), 1, "run")
    entry = Frame(os.path.join(_PACKAGE, "api", "incarnation.py"), 1, "main")
    outer = Frame("/usr/lib/python3/multiprocessing/process.py", 1, "run")
    theirs = Frame("/a/b.py", 1, "handler")
    assert without_ours((ours, theirs, ours, entry, outer)) == (theirs,)
    assert without_ours((ours, entry, outer)) == (ours,)
    assert without_ours((outer,)) == (outer,)


def test_a_thread_of_the_runtimes_is_known():
    ours = Frame(os.path.join(_PACKAGE, "wire", "x.py"), 1, "run")
    outer = Frame("/usr/lib/python3/threading.py", 1, "run")
    theirs = Frame("/a/b.py", 1, "handler")
    assert is_runtimes(Stack("t", False, False, (ours, outer)))
    assert not is_runtimes(Stack("t", True, False, (ours, outer)))
    assert not is_runtimes(Stack("t", False, False, (theirs, outer)))
