"""``python -m autoadapt`` is ``autoadapt``."""

from autoadapt.cli import main

main()
