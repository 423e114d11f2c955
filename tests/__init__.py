"""The tests: run them with `make test`."""

from tests.support.light import is_actor, stand_in

if is_actor():
    stand_in()
