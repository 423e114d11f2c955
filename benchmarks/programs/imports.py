"""A program that imports the module that its argument names, and no more."""

import sys
from importlib import import_module

from benchmarks.programs.clock import begin, end

begun = begin()
import_module(sys.argv[1])
end(begun)
