"""A plan as text for a terminal."""

from collections.abc import Iterator

from autoadapt.analysis.tables import ABSENT, duration, quantity, text_table
from autoadapt.config.settings import TrainingSettings
from autoadapt.experiment.dry_run import Plan
from autoadapt.experiment.estimates import GIB
from autoadapt.experiment.outlook import Need


def plan_text(plan: Plan) -> str:
    """Return a plan in lines and two tables."""
    return "\n".join(lines(plan))


def lines(plan: Plan) -> Iterator[str]:
    """Yield what would run, what networks cost, and what it takes where."""
    sets = ", ".join(
        f"{number:,} {key} at {width}x{height}"
        for (key, number), (height, width) in zip(
            plan.images.items(), plan.sizes.values(), strict=True
        )
    )
    done = f", {plan.done} of them over" if plan.done else ""
    named = f" ({', '.join(plan.named)} first)" if plan.named else ""
    limits = (
        f"{name} {quantity(low)} to {quantity(high)}" for name, (low, high) in plan.limits.items()
    )
    yield f"{plan.name}: nothing is trained or decoded"
    yield f"data: {sets}; {plan.classes} classes"
    yield f"decoded images: {quantity(plan.cache_bytes)}B of disk"
    yield f"space: {plan.space}, {plan.architectures:,} architectures; {', '.join(limits) or 'all'}"
    yield f"search: {plan.trials} trials{named}{done}, {resources(plan)}"
    yield (
        f"each: {plan.method}, {training_words(plan.training)}, {plan.images_per_trial:,} images; "
        f"scored on {plan.scored:,} images of each domain"
    )
    if plan.adapt_training is not None:
        yield (
            f"then: {', '.join(plan.contenders)}; seeds {', '.join(map(str, plan.seeds))}; "
            f"{training_words(plan.adapt_training)}"
        )
    if plan.convention is not None:
        yield f"evaluation: {plan.convention}"
    yield from (f"weights: {text}" for text in plan.weights)
    yield ""
    rows = [[one.what, quantity(one.macs), quantity(one.params)] for one in plan.costs]
    yield text_table(["network", "multiply-adds", "parameters"], rows)
    yield ""
    header = ["estimate", "one trial", "search", "full training", "peak memory", "fits"]
    yield text_table(header, [need_row(need) for need in plan.needs])
    yield ""
    yield from (f"- {text}" for text in plan.assumptions)


def resources(plan: Plan) -> str:
    """Say where trials run, and how many side by side."""
    if plan.executor == "ray":
        share = f"{plan.cpus:g} CPUs and {plan.gpus:g} GPUs each"
        return f"{plan.parallel} at a time (ray, {share})"
    return f"{plan.parallel} at a time ({plan.executor}, {plan.device})"


def training_words(training: TrainingSettings) -> str:
    """Return a budget in words."""
    batch = training.batch_size * training.accumulate
    return f"{training.steps:,} steps of batch {batch} in {training.precision}"


def about(seconds: float) -> str:
    """Return a duration, also one that rounds to nothing."""
    return duration(seconds) if seconds >= 0.5 else "< 1 s"


def need_row(need: Need) -> list[str]:
    """Return one row of the table of estimates."""
    low, middle, high = map(about, need.trial_seconds)
    largest = max(*need.trial_bytes, need.adapt_bytes)
    fits = {True: "yes", False: "no", None: ABSENT}[need.fits]
    return [
        need.device,
        f"{middle} ({low} to {high})",
        about(need.search_seconds),
        about(need.adapt_seconds) if need.adapt_seconds else ABSENT,
        f"{largest / GIB:.1f} GiB",
        fits,
    ]
