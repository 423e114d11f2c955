"""A big array, sent to an actor and back.

Its 100 MB do not go through a pipe: they are written once into shared memory, and the receiver
maps them. What arrives is the actor's own and may be changed; the sender's stays as it was.

Run it: procactors examples big_array   (needs NumPy: pip install numpy)

Expected output:

    sending 100 MB
    the actor doubled it: 2.0 ... 2.0, sum 25,000,000
    ours is unchanged: 1.0 ... 1.0
    100 MB there and back took ... s
"""

import sys
import time

from procactors import Actor, ActorSystem

try:
    import numpy as np
except ImportError:
    sys.exit("this example needs NumPy: pip install numpy")


class Doubler(Actor):
    def double(self, array: "np.ndarray") -> "np.ndarray":
        array *= 2  # in place: the array that arrived belongs to this actor
        return array


ours = np.ones(12_500_000)

with ActorSystem() as system:
    doubler = system.spawn(Doubler)
    print(f"sending {ours.nbytes // 1_000_000} MB")
    started = time.perf_counter()
    doubled = doubler.ask(Doubler.double, ours)
    seconds = time.perf_counter() - started
    print(f"the actor doubled it: {doubled[0]} ... {doubled[-1]}, sum {doubled.sum():,.0f}")
    print(f"ours is unchanged: {ours[0]} ... {ours[-1]}")
    print(f"{ours.nbytes // 1_000_000} MB there and back took {seconds:.2f} s")
