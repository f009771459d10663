"""What benchmarks of mixing compare: families of ours, and other packages' MixUp and CutMix where they are installed."""

from collections.abc import Callable
from importlib.util import find_spec

from msda_analysis.masks.registry import FAMILIES

#: Families of ours by name.
OURS = {name: FAMILIES[name] for name in ("mixup", "cutmix", "fmix", "fmix_released")}


def peer_transforms(num_classes: int) -> dict[str, Callable]:
    """{"family package": callable}."""
    from torchvision.transforms import v2

    found: dict[str, Callable] = {
        "mixup torchvision": v2.MixUp(num_classes=num_classes),
        "cutmix torchvision": v2.CutMix(num_classes=num_classes),
    }
    if find_spec("timm"):
        from timm.data import Mixup  # type: ignore

        found["mixup timm"] = Mixup(mixup_alpha=1.0, num_classes=num_classes)
        found["cutmix timm"] = Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, num_classes=num_classes)
    if find_spec("kornia"):
        from kornia.augmentation import RandomCutMixV2, RandomMixUpV2

        found["mixup kornia"] = RandomMixUpV2(p=1.0, data_keys=["input", "class"])
        found["cutmix kornia"] = RandomCutMixV2(p=1.0, data_keys=["input", "class"])
    return found
