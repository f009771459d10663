"""A cell: one piece of work with a name made from its content."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

_SCHEME = 2  # of names
_LONGEST_LABEL = 60  # in a folder's name; the digest tells longer ones apart


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    Attributes:
        kind: name of the step that does it.
        settings: all that decides its numbers, as plain JSON values.
        needs: cells that must be done before.
        label: what the folder's name shows instead of the augmentation.
    """

    kind: str
    augmentation: str
    seed: int
    settings: dict[str, Any]
    needs: tuple["Cell", ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """Folder name: readable, and a digest of everything that decides the result, needs included."""
        content = [_SCHEME, self.kind, self.augmentation, self.seed, self.settings, [need.name for need in self.needs]]
        digest = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=6).hexdigest()
        shown = (self.label or self.augmentation).replace("+", "-and-")
        label = re.sub(r"[^A-Za-z0-9_-]+", "-", shown)[:_LONGEST_LABEL].strip("-")
        return f"{self.kind}-{label}-{self.seed}-{digest}"

    def describe(self) -> dict[str, Any]:
        """What a checkpoint that the cell writes says of where it comes from."""
        return {"cell": self.name, "augmentation": self.augmentation, "seed": self.seed, "settings": self.settings}
