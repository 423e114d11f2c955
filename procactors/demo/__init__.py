"""The main job on real input: the running interpreter's standard library, analysed by actors.

Layer: demo. Runs in: parent and actor.
Owns: nothing; the actor system of a run belongs to ``job``.
Never: imported by the runtime; it uses the public API as any user's program does.

``corpus`` finds the files, ``analysis`` counts in one file, ``job`` spreads the files over
actors and kills one of them on the way, ``progress`` and ``report`` tell what happened,
``stopping`` carries a stop signal to a point where the job can end cleanly.
"""

__all__: list[str] = []
