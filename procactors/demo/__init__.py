"""The main job on real input: the running interpreter's standard library, analysed by actors.

Layer: demo. Runs in: parent and actor.
Owns: nothing; the actor system of a run belongs to `procactors.run`.
Never: imported by the runtime; it uses the public API as any user's program does.

``corpus`` finds the files, ``analysis`` counts in one file, ``job`` spreads the files over a
pool's workers and has one of them killed on the way, ``report`` says what came of it.
"""

__all__: list[str] = []
