"""What one source file holds, and the sum over many: counts as values, failures as data.

Layer: demo. Runs in: parent and actor.
Owns: the file it reads, closed before it returns.
Never: raises for a bad file; gives different counts in different processes.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import operator
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Failure", "FileStats", "Function", "Totals", "analyse", "total"]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: Tokens where control may go two ways, as in McCabe's cyclomatic complexity.
BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
    ast.comprehension,
    ast.Assert,
)


@dataclasses.dataclass(frozen=True, order=True)
class Function:
    """One function and its length; ordered by length, then name and place, so that ties agree.

    Attributes:
        lines: from its ``def`` to its last line, decorators not counted.
        name: as written after ``def``.
        path: of its file.
        line: number of the line of its ``def``, from 1.
    """

    lines: int
    name: str
    path: str
    line: int


@dataclasses.dataclass(frozen=True, order=True)
class Failure:
    """A file that could not be parsed, and the parser's error in words."""

    path: str
    error: str


@dataclasses.dataclass(frozen=True)
class FileStats:
    """What was counted in one file; all zero but ``lines`` where ``error`` is set.

    Attributes:
        path: of the file, as it was given.
        lines: newline bytes in the file.
        functions: ``def`` and ``async def``, methods included, lambdas not.
        classes: ``class`` statements.
        branches: nodes of the kinds in ``BRANCHES``.
        longest: the longest function; None if there is none.
        error: why the file could not be parsed; None if it could.
    """

    path: str
    lines: int = 0
    functions: int = 0
    classes: int = 0
    branches: int = 0
    longest: Function | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Totals:
    """The sum over files. Adding is associative and commutative: the order of files is no matter.

    Attributes:
        files: how many were analysed, failures included.
        failures: in the order of their paths.
    """

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    branches: int = 0
    longest: Function | None = None
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, stats: FileStats) -> Totals:
        """Return the totals of a single file."""
        failures = () if stats.error is None else (Failure(stats.path, stats.error),)
        return cls(
            files=1,
            lines=stats.lines,
            functions=stats.functions,
            classes=stats.classes,
            branches=stats.branches,
            longest=stats.longest,
            failures=failures,
        )

    def __add__(self, other: Totals) -> Totals:
        longest = [function for function in (self.longest, other.longest) if function]
        return Totals(
            files=self.files + other.files,
            lines=self.lines + other.lines,
            functions=self.functions + other.functions,
            classes=self.classes + other.classes,
            branches=self.branches + other.branches,
            longest=max(longest, default=None),
            failures=tuple(sorted(self.failures + other.failures)),
        )


def total(stats: Iterable[FileStats]) -> Totals:
    """Add up what was counted in many files."""
    return functools.reduce(operator.add, map(Totals.of, stats), Totals())


def analyse(path: str) -> FileStats:
    """Parse one file and count what is in it.

    Never raises for the file's sake: one that cannot be read or parsed comes back with ``error``
    set. Reads bytes, so that the parser itself sees the encoding the file declares.
    """
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        return FileStats(path, error=f"{type(error).__name__}: {error.strerror}")
    lines = source.count(b"\n")
    try:
        with warnings.catch_warnings():
            # Old files hold escapes that the parser warns of; they are not this job's subject.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return FileStats(path, lines, error=_reason(error))
    return _count(path, lines, tree)


def _count(path: str, lines: int, tree: ast.AST) -> FileStats:
    functions, classes, branches = 0, 0, 0
    longest: Function | None = None
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            functions += 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            function = Function(length, node.name, path, node.lineno)
            longest = function if longest is None else max(longest, function)
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, BRANCHES):
            branches += 1
    return FileStats(path, lines, functions, classes, branches, longest)


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        place = f" (line {error.lineno})" if error.lineno else ""
        return f"{type(error).__name__}: {error.msg}{place}"
    # The parser gives no text when it gives up on deep nesting with a MemoryError.
    return f"{type(error).__name__}: {str(error) or 'too deeply nested to parse'}"
