"""The form of an audit's results."""

from dataclasses import asdict, dataclass
from typing import Any

#: Verdicts, from best to worst.
VERDICTS = ("ok", "not applicable", "differs", "fault")

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
    """One check of one implementation.

    Attributes:
        subject: name of the implementation.
        check: name of the check.
        verdict: "ok", "differs" (from the papers' definition or from what the other implementations do, but consistent
            in itself), "fault" (images and labels, or name and law, contradict each other) or "not applicable".
        answer: what it does, in a few words.
        value: the number behind the verdict, if there is one.
        expected: what `value` should be, if there is one.
        note: what a reader needs to know to judge it.
        fault: id in FAULTS, or "".
    """

    subject: str
    check: str
    verdict: str
    answer: str
    value: float | None = None
    expected: float | None = None
    note: str = ""
    fault: str = ""

    def row(self) -> dict[str, Any]:
        """The finding as a dictionary, with the words of its fault under "fault_text"."""
        return {**asdict(self), "fault_text": FAULTS.get(self.fault, "")}
