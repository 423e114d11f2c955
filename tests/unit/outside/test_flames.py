"""A profile is written as files that others can open."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from procactors.outside.flames import as_speedscope, as_svg
from procactors.outside.profile import Profile, self_times

PROFILE = Profile(
    7,
    4.0,
    100,
    "sampler",
    {
        ("MainThread", "outer (/a/b.py:1)", "hot <lambda> & co (/a/b.py:9)"): 3.0,
        ("MainThread", "outer (/a/b.py:1)"): 0.5,
        ("other", "cold (/a/c.py:2)"): 0.25,
    },
    "a note with <angles>",
)


def test_speedscope_finds_every_second_and_frame():
    whole = json.loads(as_speedscope(PROFILE, "worker"))
    assert whole["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = whole["shared"]["frames"]
    assert {"name": "hot <lambda> & co", "file": "/a/b.py", "line": 9} in frames
    assert [part["name"] for part in whole["profiles"]] == ["MainThread", "other"]
    for part in whole["profiles"]:
        assert part["type"] == "sampled"
        assert part["unit"] == "seconds"
        assert part["startValue"] == 0
        assert len(part["samples"]) == len(part["weights"])
        assert part["endValue"] == sum(part["weights"])
        assert all(0 <= number < len(frames) for sample in part["samples"] for number in sample)
    assert whole["profiles"][0]["endValue"] == 3.5


def test_the_flame_graph_is_well_formed_and_its_widths_are_times():
    root = ET.fromstring(as_svg(PROFILE, "worker <1>"))
    name = "{http://www.w3.org/2000/svg}"
    widths = {}
    for group in root.iter(f"{name}g"):
        title, box = group.find(f"{name}title"), group.find(f"{name}rect")
        widths[title.text.rpartition(":")[0]] = float(box.get("width"))
    assert widths["all"] == 1200
    assert abs(widths["hot <lambda> & co (/a/b.py:9)"] - 1200 * 3 / 3.75) < 0.1
    assert abs(widths["outer (/a/b.py:1)"] - 1200 * 3.5 / 3.75) < 0.1
    texts = [text.text or "" for text in root.iter(f"{name}text")]
    assert any("hot <lambda> & co" in text for text in texts)


def test_what_xml_cannot_have_stands_there_as_an_escape():
    stacks = {("Main\x1bThread", "\ud800 (/a/\x00.py:1)"): 1.0}
    text = as_svg(PROFILE._replace(stacks=stacks, note="\x07"), "a\x1b[31mname\n\udc80")
    shown = "".join(ET.fromstring(text.encode()).itertext())
    for wanted in (r"a\x1b[31mname\n\udc80", r"\x07", r"\ud800 (/a/\x00.py:1)"):
        assert wanted in shown


def test_an_empty_profile_is_drawn_too():
    ET.fromstring(as_svg(PROFILE._replace(stacks={}), "worker"))
    assert json.loads(as_speedscope(PROFILE._replace(stacks={}), "worker"))["profiles"] == []


def test_the_most_seconds_come_first():
    assert [time for _, time in self_times(PROFILE)] == [3.0, 0.5, 0.25]
