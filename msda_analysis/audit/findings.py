"""The form of an audit's results."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: From best to worst.
Verdict = Literal["ok", "not applicable", "differs", "fault"]

#: Known faults by the ids that findings carry.
FAULTS = {
    "B1": "label weight is the drawn lambda, not the share that the clipped box keeps",
    "B2": "coefficient is the weight of the second image: used as in the papers it swaps the labels",
    "B3": "apply probability is used twice: p squared",
    "B4": "box sides are always even: boxes too small",
    "B5": "box kept inside the image where the paper clips it: another law under the same name",
    "B7": "coefficient folded to one half",
    "B9": "integer labels averaged as numbers",
    "B10": "same torch seed, other result",
    "B12": "spectrum is not isotropic: bins missing along one axis",
    "B13": "square root taken in one dimension",
    "B14": "images and labels permuted differently",
}


@dataclass(frozen=True)
class Finding:
    """What one check found about one implementation.

    Attributes:
        verdict: "ok", "differs" (from the papers' definition or from what the other implementations do, but consistent
            in itself), "fault" (images and labels, or name and law, contradict each other) or "not applicable".
        answer: what it does, in a few words.
        value: the number behind the verdict, if there is one.
        expected: what `value` should be, if there is one.
        note: what a reader needs to know to judge it.
        fault: id in FAULTS, or "".
    """

    verdict: Verdict
    answer: str
    value: float | None = None
    expected: float | None = None
    note: str = ""
    fault: str = ""

    def row(self, subject: str, check: str) -> dict[str, Any]:
        """The finding as a dictionary under the names of its subject and check, with the words of its fault."""
        return {"subject": subject, "check": check, **asdict(self), "fault_text": FAULTS.get(self.fault, "")}
