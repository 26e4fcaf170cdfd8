"""python -m jaxgen is the command line."""

import sys

from jaxgen.cli import main

sys.exit(main())
