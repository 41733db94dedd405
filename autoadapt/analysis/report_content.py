"""What a search report shows, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autoadapt.analysis.history import History, ObjectiveOf, PartsOf, ranked, search_history
from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.selection import (
    ComparedFinalist,
    SelectedTraining,
    finalists_sentence,
    selection_sentence,
)
from autoadapt.analysis.summary import adaptation_sentence, trials_sentence, winner_sentence
from autoadapt.records import Record


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Pictures of one target image, side by side.

    Attributes:
        label: Name of the image.
        pictures: PNG bytes by caption, e.g. ``input``, ``prediction``, ``truth``.
    """

    label: str
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class SearchReport:
    """Everything a search report shows.

    Attributes:
        title: Name of the run.
        facts: Settings worth showing, by name.
        records: All trials that have ended, in any order.
        objective: The number that was minimised, of one trial.
        parts: Its weighted terms, of one trial that has an objective.
        names: Names of networks that have one, by the id of their architecture.
        planned: Number of trials asked for; absent: those recorded are all.
        winner: The chosen trial; absent while the search runs.
        winner_words: Its architecture in words.
        reference_costs: ``macs`` and ``params`` of the reference architecture.
        reference_objective: Its objective, where it was trained like a trial.
        samples: Predictions to look at.
        classes: Class names with the colour (red, green, blue; 0 to 255) of their predictions.
        finalists: Candidates that were compared as full models, if several were.
        trainings: Full trainings of which a snapshot was selected.
        adaptation: Results of full adaptation: the headline first, then what it is compared with.
        evaluation_words: How predictions were compared with labels, in sentences.
        opened_labels: One note for each time target labels were opened.
    """

    title: str
    records: Sequence[Record]
    objective: ObjectiveOf
    parts: PartsOf
    facts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    planned: int | None = None
    winner: Record | None = None
    winner_words: str = ""
    reference_costs: Mapping[str, float] = field(default_factory=dict)
    reference_objective: float | None = None
    samples: Sequence[Sample] = ()
    classes: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    finalists: Sequence[ComparedFinalist] = ()
    trainings: Sequence[SelectedTraining] = ()
    adaptation: Sequence[AdaptationResult] = ()
    evaluation_words: str = ""
    opened_labels: Sequence[str] = ()

    @cached_property
    def ordered(self) -> list[Record]:
        """Records by number."""
        return sorted(self.records, key=lambda record: record.number)

    @cached_property
    def history(self) -> History:
        """The search as columns of numbers."""
        return search_history(self.records, self.objective)

    @cached_property
    def best_first(self) -> list[Record]:
        """Trials that have an objective, best first."""
        return ranked(self.records, self.objective)

    @property
    def metric(self) -> str:
        """Headline of the evaluation, such as ``mIoU``."""
        return self.adaptation[0].headline if self.adaptation else "mIoU"

    def origin(self, record: Record) -> str:
        """Return how a trial came about, with the name of a named network."""
        name = self.names.get(record.architecture.id)
        return record.origin if name is None else f"{record.origin} {name}"

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Names of the objective's terms."""
        return tuple(self.parts(self.best_first[0])) if self.best_first else ()


def summarise(report: SearchReport) -> list[str]:
    """Return the outcome in plain sentences, for the top of the page and for a terminal."""
    sentences = [
        trials_sentence(report.records, report.planned),
        winner_sentence(report.records, report.objective, report.winner, report.reference_costs),
        finalists_sentence(report.finalists, report.metric),
        adaptation_sentence(report.adaptation),
        selection_sentence(report.trainings, report.metric),
    ]
    return [sentence for sentence in sentences if sentence]
