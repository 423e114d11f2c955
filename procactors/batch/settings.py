"""What a user asks of a batch job.

Layer: batch. Runs in: parent.
Owns: nothing.
Never: judges: `batch.job` and `batch.workers` do.
"""

from __future__ import annotations

import dataclasses

__all__ = ["Settings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user asks for; see ``procactors map --help``."""

    target: str
    items: tuple[str, ...] = ()
    input: str = "auto"
    spread: bool = False
    output: str | None = None
    bare: bool = False
    ordered: bool = False
    errors: str | None = None
    resume: str | None = None
    jobs: int | None = None
    timeout: float | None = None
    memory: int | None = None
    retries: int = 0
    chunk: int | None = None
    preload: tuple[str, ...] = ()
    start_method: str | None = None
    backend: str | None = None
    address: str | None = None
    working_dir: str | None = None
    grace: float = 10.0
    progress: str = "auto"
    quiet: bool = False
