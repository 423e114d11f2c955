"""Values to bytes and back, with the classes and functions that others cannot import.

Here: the codec, definitions that travel by value and the proof that they are unchanged, why a
value could not be pickled, and bundles: pickles that stand alone when their system is gone.
Not here: where the bytes are kept (`wire.payload_store`, `wire.shm`).
"""
