import sys
from pathlib import Path

# `observability` is no part of the installed package.
sys.path.insert(0, str(Path(__file__).parents[2]))
