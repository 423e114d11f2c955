"""``python -m procactors``: the command line without its script.

Layer: cli. Runs in: parent.
Owns: nothing.
Never: does anything when it is only imported.
"""

from __future__ import annotations

import sys

from procactors.cli import main

if __name__ == "__main__":
    sys.exit(main())
