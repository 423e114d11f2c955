"""What type checkers must accept and refuse: checked by mypy and pyright, never run."""
