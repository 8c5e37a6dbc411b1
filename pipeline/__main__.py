"""`python -m pipeline` is `vaeiaf`."""

import sys

from pipeline.cli import main

sys.exit(main())
