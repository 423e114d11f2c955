"""The peers: other libraries beside procactors, in turn with it; ``python -m benchmarks.peers``.

Measures: the rows of `benchmarks.peers.rows`, with each library that is installed.
How: each peer has a process of its own, the driver, which keeps its threads, loops and servers
apart from the others' and can be given up alone. The rounds of a row go around: one of each, then
the next. Libraries with servers (xoscar, Ray, Dask) have those idle while another is measured.
Never: asserts, or tunes a peer: each is used as its own documentation shows.
"""

from __future__ import annotations

#: Modules of this package, in the order of the tables: the floor, ours, and the others.
PEERS = (
    "bare",
    "ours",
    "executor",
    "mp_pool",
    "joblib",
    "mpire",
    "pykka",
    "uactor",
    "xoscar",
    "ray",
    "dask",
)
