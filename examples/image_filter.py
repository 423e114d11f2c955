"""An image filter on all cores: the image is shared once, strips of it are filtered by a pool.

`system.share` writes the 32 MB into shared memory one time; each worker maps them. What travels to
a worker is a handle and two numbers, what comes back is one strip. Each strip is read with one row
more above and below, so that the parts put together are exactly what one process computes.

Run it: procactors examples image_filter   (needs NumPy: pip install numpy)

Expected output:

    image: <Shared ndarray, 32 MB>
    ... workers filtered 16 strips
    equal to one process: True
"""

import sys

from procactors import ActorSystem, Shared

try:
    import numpy as np
except ImportError:
    print("this example needs NumPy: pip install numpy")
    sys.exit(0)

ROWS, COLUMNS, STRIP = 2000, 2000, 125


def blurred(rows: "np.ndarray") -> "np.ndarray":
    """The mean of each point and its eight neighbours, without the outermost rows and columns."""
    height, width = rows.shape
    total = np.zeros((height - 2, width - 2))
    for down in range(3):
        for right in range(3):
            total += rows[down : down + height - 2, right : right + width - 2]
    return total / 9


def filter_strip(image: "Shared[np.ndarray]", top: int, bottom: int) -> "np.ndarray":
    return blurred(image.get()[top - 1 : bottom + 1])


y, x = np.mgrid[0:ROWS, 0:COLUMNS]
image = np.sin(x / 40) * np.cos(y / 25) + np.random.default_rng(7).normal(0, 0.1, x.shape)

with ActorSystem(preload=["numpy"]) as system, system.pool() as pool:
    with system.share(image) as shared:
        print(f"image: {shared}")
        tops = range(1, ROWS - 1, STRIP)
        strips = [(shared, top, min(top + STRIP, ROWS - 1)) for top in tops]
        parts = list(pool.starmap(filter_strip, strips))
    print(f"{pool.size} workers filtered {len(parts)} strips")
    whole = np.concatenate(parts)

print("equal to one process:", np.array_equal(whole, blurred(image)))
