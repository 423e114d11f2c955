"""The recipes do what they say: their files are written to a folder, and run as a user would."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from tests.support.programs import ran, running_python
from tests.support.source import ROOT
from tests.support.waiting import LONG_S

#: A block that begins with its file's name.
FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall((ROOT / "docs" / "recipes.md").read_text()))


@pytest.fixture
def folder(tmp_path):
    """All files of the recipes, side by side."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    return tmp_path


def python(folder, *command):
    """Run the interpreter in the folder; return what it printed."""
    ended = ran(folder, *command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_fastapi(folder):
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    command = ["-m", "uvicorn", "service:app", "--port", "0", "--timeout-graceful-shutdown", "20"]
    with running_python(*command, cwd=folder, stderr=subprocess.STDOUT) as server:
        while "running on" not in (line := server.line()):
            assert line, "the server has ended"
        url = re.search(r"http://[\d.:]+", line)[0]
        assert httpx.get(f"{url}/predict/3", timeout=LONG_S).json() == 6.0
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] in (0, -signal.SIGTERM)
        server.await_nothing_left(f"procactors-{server.process.pid}-")


@pytest.mark.parametrize("name", ["shop", "preloaded"])
def test_flask(folder, name):
    pytest.importorskip("flask")
    code = f"import {name}; print({name}.app.test_client().get('/predict/3.0').json)"
    assert python(folder, "-c", code) == "{'result': 6.0}\n"


def test_pytest(folder):
    assert "2 passed" in python(folder, "-m", "pytest", "-p", "no:cacheprovider", "test_model.py")


def test_logging(folder):
    python(folder, "logs.py")
    lines = (folder / "service.log").read_text().splitlines()
    worked = [line for line in lines if re.search(r" worker-\d __main__.Worker INFO work \d", line)]
    numbers = sorted(int(line.rpartition(" ")[2]) for line in worked)
    assert numbers == list(range(1000))
