"""What stands behind `ActorPoolExecutor` and the joblib backend.

Here: the engine with its pool and its system, and an executor's map.
Not here: the public classes themselves (`procactors.futures`, `procactors.joblib`).
"""
