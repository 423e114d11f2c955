"""Supervision without processes: its parts on a backend and a clock that the tests drive."""
