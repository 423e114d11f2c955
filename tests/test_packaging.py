"""What an installed procactors is: two dependencies, all packages, types, one command."""

from __future__ import annotations

import importlib
import re
from configparser import RawConfigParser
from contextlib import suppress
from importlib import metadata

import procactors
from tests.support.source import PACKAGE, ROOT

SETUP = RawConfigParser()
SETUP.read(ROOT / "setup.cfg")


def lines(section: str, key: str) -> list[str]:
    return SETUP[section][key].strip().split("\n")


def test_the_core_needs_cloudpickle_and_psutil_and_nothing_else():
    assert lines("options", "install_requires") == ["cloudpickle>=3.0", "psutil>=5.9"]


def test_every_package_is_listed_so_that_the_wheel_has_it():
    folders = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("*.py")}
    packages = {".".join(folder.parts) for folder in folders} | {"procactors.examples"}
    assert lines("options", "packages") == sorted(packages)
    assert all((ROOT / folder / "__init__.py").exists() for folder in folders)


def test_the_examples_come_from_their_folder():
    assert lines("options", "package_dir") == ["procactors.examples = examples"]
    assert (ROOT / "examples" / "__init__.py").exists()


def test_the_types_ship():
    assert lines("options.package_data", "procactors") == ["py.typed"]
    assert (PACKAGE / "py.typed").exists()


def test_the_version_has_one_source_and_the_installed_one_agrees():
    assert lines("metadata", "version") == ["attr: procactors.__version__"]
    with suppress(metadata.PackageNotFoundError):  # a checkout that is not installed
        assert metadata.version("procactors") == procactors.__version__


def test_no_extra_names_another_version_of_a_dependency():
    for extra in SETUP["options.extras_require"]:
        names = {re.split(r"[<>=\[]", line)[0] for line in lines("options.extras_require", extra)}
        assert not names & {"cloudpickle", "psutil"}


def test_the_pytest_plugin_is_there():
    (plugin,) = lines("options.entry_points", "pytest11")
    name, _, module = plugin.partition(" = ")
    assert name == "procactors"
    assert importlib.import_module(module).actor_system


def test_the_command_is_there():
    (command,) = lines("options.entry_points", "console_scripts")
    name, _, target = command.partition(" = ")
    assert name == "procactors"
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
