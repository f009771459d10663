"""The picture at the top of the README: masks, mixed images and the masks' spectra, for each family.

    python experiments/readme_picture.py --out experiments/results

Writes readme.png; seconds. --smoke takes fewer masks.
"""

import argparse
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from msda_analysis import CutMix, FMix, MixUp, sample_masks
from msda_analysis.data import sample_images
from msda_analysis.files import replace_path
from msda_analysis.mask_stats.spectrum import power_spectra
from msda_analysis.mixing import mix_pairs
from msda_analysis.rng import stream

FAMILIES = {
    "MixUp": MixUp(), "CutMix": CutMix(), "FMix\n(the paper's law)": FMix(), "FMix\n(the released code's)": FMix(spectrum="released"),
}  # fmt: skip
PAIRS = 4


def draw(n_masks: int) -> Figure:
    """One row a family: masks, what they make of four pairs of images, and the mean log power of `n_masks` masks."""
    images = sample_images("cifar10")[0] / 255
    first, second = images[:PAIRS], images[PAIRS : 2 * PAIRS]
    figure = Figure(figsize=(8.2, 3.9), facecolor="white")
    axes = figure.subplots(len(FAMILIES), 2 * PAIRS + 1)
    for row, (name, family) in zip(axes, FAMILIES.items(), strict=True):
        masks = sample_masks(family, PAIRS, (32, 32), generator=stream(0, "readme picture")).masks[:, 0]
        mixed = mix_pairs(first, second, family, seed=1).permute(0, 2, 3, 1)
        many = sample_masks(family, n_masks, (32, 32), generator=stream(0, "readme spectra")).masks
        power = torch.fft.fftshift(power_spectra(many).mean(0).squeeze().clamp_min(1e-12).log10(), dim=(-2, -1))
        for ax, picture in zip(row, (*masks, *mixed), strict=False):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        row[-1].imshow(power, cmap="magma", vmin=-6, vmax=-2)
        row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=9)
        for ax in row:
            ax.set(xticks=[], yticks=[])
    for place, title in ((1.5, "masks"), (PAIRS + 1.5, "mixed images"), (2 * PAIRS, "spectrum")):
        box = axes[0, int(place)].get_position()
        figure.text(box.x1 + 0.005 if place % 1 else (box.x0 + box.x1) / 2, 0.93, title, ha="center", fontsize=10)
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/readme"), help="folder to write to")
    parser.add_argument("--smoke", action="store_true", help="fewer masks")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with replace_path(asked.out / "readme.png") as path:
        draw(100 if asked.smoke else 2000).savefig(path, dpi=130, bbox_inches="tight", format="png")
    print(asked.out / "readme.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
