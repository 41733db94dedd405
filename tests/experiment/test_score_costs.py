import math

from autoadapt.analysis.score_costs import ScoreCost
from autoadapt.config.settings import ObjectiveSettings, TermSettings
from autoadapt.experiment.score_costs import costs_of_scores, median_seconds


def test_medians_are_over_the_models_that_have_a_score() -> None:
    models = [{"mmd": 0.1, "snd": 4.0}, {"mmd": 0.9}, {"mmd": 0.2, "snd": 1.0}, {}]
    assert median_seconds(models) == {"mmd": 0.2, "snd": 2.5}
    assert median_seconds([]) == {}


def test_an_objective_takes_what_its_terms_take() -> None:
    described = {
        "mmd": {"score": "mmd", "options": {}, "needs": []},
        "mixed": {"score": "mixval", "options": {}, "needs": ["mixed"]},
        "old": {"score": "snd", "options": {}, "needs": []},
    }

    def objective(*scores: str) -> ObjectiveSettings:
        return ObjectiveSettings(terms=tuple(TermSettings(score=name) for name in scores))

    found = costs_of_scores(
        described,
        {"mmd": 0.5, "mixed": 0.25},
        {
            "objective both": objective("mmd", "mixed", "macs"),
            "objective old": objective("mmd", "old"),
            "objective free": objective("macs"),
        },
    )
    assert found["mixed"] == ScoreCost(0.25, ("mixed",))
    assert found["objective both"] == ScoreCost(0.75, ("mixed",))
    assert math.isnan(found["old"].seconds)
    assert math.isnan(found["objective old"].seconds)
    assert "objective free" not in found
