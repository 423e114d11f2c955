"""Growth: what becomes of a figure as something grows; ``python -m benchmarks.curves``.

Measures: the curves of this package's modules, each beside the kernel's own.
How: from point to point, each point in turns as in the other subjects; each curve in a process of
its own. Tables and SVG plots are kept in benchmarks/results/.
Never: asserts.
"""

from __future__ import annotations

#: Modules of this package that measure, in the order of the page.
CURVES = ("actors", "payload", "senders", "depth", "items")
