"""What a pool is asked to call: a method of its workers, or any function.

Layer: pool. Runs in: the pool's process.
Owns: the segment of a large function (`Target.free`).
Never: sends a function anew with each of its items.
"""

from __future__ import annotations

from typing import Any

from procactors.errors import InvalidSpec
from procactors.runner.batches import by_reference, by_value, method_named
from procactors.runner.method_table import MethodTable, is_method_reference, key_of
from procactors.wire.envelope import handler_name
from procactors.wire.payload_store import PayloadStore

__all__ = ["Target", "target_of"]

#: Bytes of a pickled function that goes along with each message: most are a module and a name.
_INLINE_BYTES = 500


class Target:
    """A function as a batch names it.

    Attributes:
        name: for people, as bytes.
        named: as it travels.
    """

    __slots__ = ("_reference", "_store", "name", "named")

    def __init__(
        self, store: PayloadStore, name: bytes, named: bytes, reference: bytes | None = None
    ) -> None:
        self._store = store
        self._reference = reference
        self.name = name
        self.named = named

    @property
    def is_method(self) -> bool:
        """Whether it is a method of the workers' class; then `name` is its key."""
        return self.named[:1] == b"m"

    @property
    def shown(self) -> str:
        """Its name, for people."""
        return handler_name(self.name)

    def free(self) -> None:
        """Let its segment be written again. Called once, when no worker will read it any more."""
        reference, self._reference = self._reference, None
        if reference is not None:
            self._store.free(reference)


def target_of(
    what: Any,
    table: MethodTable,
    store: PayloadStore,
    mailbox: int,
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
) -> Target:
    """Return what a pool's first argument means.

    Args:
        what: a method of the workers' class, or a callable.
        table: that class's methods.
        store: of this process.
        mailbox: a worker's (see `batch.Load`).
        arguments: checked against a method's parameters.

    Raises:
        InvalidSpec: it is no callable. TypeError: a method that does not take these arguments.
        EncodeError: a function that cannot be pickled.
    """
    if not callable(what):
        raise InvalidSpec(
            f"expected a method of {table.cls.__qualname__} or a function, found {what!r}"
        )
    if is_method_reference(what) and table.has(what):
        method = table.method(what)
        if arguments is not None:
            method.check(*arguments)
        return Target(store, method.key, method_named(method.key))
    name = key_of(what) if hasattr(what, "__qualname__") else type(what).__qualname__.encode()
    encoded = store.encode(what, "function")
    if not encoded.buffers and len(encoded.head) <= _INLINE_BYTES:
        return Target(store, name, by_value(encoded.head))
    reference = store.store(encoded, mailbox)
    return Target(store, name, by_reference(reference), reference)
