"""``python -m poserep`` is ``poserep``."""

import sys

from poserep.cli import main

if __name__ == "__main__":
    sys.exit(main())
