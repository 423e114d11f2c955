"""How a shared value is pickled: what can lie in the map as it is goes out of band.

Layer: wire. Runs in: parent and actor, in the thread that shares.
Owns: nothing.
Never: imports NumPy, pyarrow or polars: it knows their types by name, and asks them what to do.

pickle's protocol 5 hands over the buffers of NumPy arrays, of pyarrow's tables and of what is made
of them. Here the rest is added: arrays that do not lie in one piece, or have a type without buffer
protocol (times), memoryviews, and polars, whose own pickles are a copy: it goes through Arrow.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from typing import Any

from procactors.errors import EncodeError
from procactors.wire.pickling.by_value import DefinitionPickler
from procactors.wire.pickling.codec import Encoded
from procactors.wire.pickling.pickle_errors import describe_unpicklable
from procactors.wire.raised import by_signal

__all__ = ["dump_with", "encode_by", "encode_shared", "reduced"]


def encode_shared(value: Any, runtime_dir: str) -> Encoded:
    """Pickle a value with as much of it out of band as there can be.

    The buffers are to be released by the caller, come what may (for the reason, see `dump_with`).

    Raises:
        EncodeError: something in the value cannot be pickled; the text names the path to it.
    """
    return encode_by(_dump, value, runtime_dir)


def encode_by(dump: Callable[[Any, str], Encoded], value: Any, runtime_dir: str) -> Encoded:
    """Pickle a shared value by `dump`, which is also tried on its parts to find what is at fault.

    Raises:
        EncodeError: as `encode_shared`.
    """
    try:
        return dump(value, runtime_dir)
    except Exception as error:  # any class's own pickling code may raise anything
        if by_signal(error):
            raise
        text = describe_unpicklable(value, "shared value", runtime_dir, error, dump)
        raise EncodeError(text) from error


def dump_with(make: Callable[[io.BytesIO, Callable[..., None]], Any], value: Any) -> Encoded:
    """Pickle a value by the pickler that `make(file, buffer_callback)` returns."""
    file, found = io.BytesIO(), list[pickle.PickleBuffer]()
    try:
        make(file, found.append).dump(value)
    except BaseException:
        # Not left to the garbage: a traceback may lie in a cycle with them, and the interpreter
        # crashes (3.11) when it clears a memoryview before the buffer that was taken of it.
        for buffer in found:
            buffer.release()
        raise
    return Encoded(file.getvalue(), [buffer.raw() for buffer in found])


def _dump(value: Any, runtime_dir: str) -> Encoded:
    return dump_with(
        lambda file, callback: _SharePickler(file, runtime_dir, buffer_callback=callback), value
    )


class _SharePickler(DefinitionPickler):
    """The pickler of messages, which copies less."""

    def reducer_override(self, obj: Any) -> Any:
        """Reduce what has buffers that pickle would copy."""
        return reduced(obj) or super().reducer_override(obj)


def reduced(obj: Any) -> Any:
    """Return the parts of what has buffers that pickle would copy; None of all else."""
    cls = type(obj)
    reduce = _REDUCERS.get((cls.__module__.partition(".")[0], cls.__name__))
    return None if reduce is None else reduce(obj)


def _array(array: Any) -> Any:
    """Reduce a NumPy array; None if its own way is as good, or if it holds objects."""
    dtype, flags = array.dtype, array.flags
    if dtype.hasobject:
        return None
    if dtype.kind in "mM":  # times have no buffer protocol, the numbers under them have
        return methodcaller("view", dtype), (array.view("i8"),)
    if not (flags.c_contiguous or flags.f_contiguous):
        return array.copy(order="C").__reduce_ex__(5)
    return None


def _mapped_array(array: Any) -> Any:
    """Reduce a `numpy.memmap` to the array that it is: its file means nothing to a reader."""
    return sys.modules["numpy"].asarray(array).__reduce_ex__(5)


def _view(view: Any) -> Any:
    """Reduce a memoryview, which pickle refuses since it would be a copy: here it is none."""
    data = view if view.c_contiguous else view.tobytes()
    _cast(data, view.format, view.shape)  # what a reader cannot do must not be written
    return _cast, (pickle.PickleBuffer(data), view.format, view.shape)


def _cast(data: Any, code: Any, shape: Any) -> Any:
    view = memoryview(data)
    if 0 in shape:
        return view  # nothing in it, and no cast allows that
    return view.cast("B").cast(code, shape)


def _frame(frame: Any) -> Any:
    """Reduce a polars DataFrame through Arrow; None where Arrow would not give back the same."""
    polars = sys.modules["polars"]
    # So wide: pyarrow is missing, or has no such type; polars' own pickle is always a way.
    with contextlib.suppress(Exception):
        # In polars' own layout: the one for old readers would be a copy of all strings.
        table = frame.to_arrow(compat_level=polars.CompatLevel.newest())
        again = partial(polars.from_arrow, rechunk=False)
        # Of no rows, so at no cost: a column of Python objects is bare addresses in Arrow.
        if again(table.slice(0, 0)).schema == frame.schema:
            return again, (table,)
    return None


def _series(series: Any) -> Any:
    return methodcaller("to_series"), (series.to_frame(),)


#: What is reduced here, by the package and the name of its type.
_REDUCERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("builtins", "memoryview"): _view,
    ("numpy", "ndarray"): _array,
    ("numpy", "memmap"): _mapped_array,
    ("polars", "DataFrame"): _frame,
    ("polars", "Series"): _series,
}
