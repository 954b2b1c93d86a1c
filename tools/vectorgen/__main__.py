"""The command `python -m tools.vectorgen`; apart from `making.py`, which its processes import."""

import sys

from tools.vectorgen.making import main

sys.exit(main())
