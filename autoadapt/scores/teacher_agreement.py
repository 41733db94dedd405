"""Agreement with the EMA teacher, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class TeacherAgreement(Agreement):
    """Minus the agreement of predictions with those of the averaged teacher.

    That of the method, such as ``dacs``, or the one that ``training.ema`` keeps beside any other.
    Agreement is better when larger, so it is **negated**: smaller is better. It saturates at the
    end of a decayed schedule. Missing without a teacher.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement with the EMA teacher"
    opinion: ClassVar[Need] = "teacher"
