"""What a long command tells whoever watches it; the library itself never prints."""

from autoadapt.records import Record
from autoadapt.training.fit import Progress


class Watcher:
    """Does nothing; the command line overrides what it shows."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def trial(self, record: Record, objective: float | None, total: int) -> None:
        """A trial is over and its record on disk."""

    def progress(self, name: str, progress: Progress) -> None:
        """A training run has made some steps."""
