"""Where a classifier looks: Grad-CAM maps, numbers of them, and what they are held against.

layers      which layer's maps: the last convolutional feature map, or one by name
grad_cam    the maps, by the library captum
maps        numbers of maps, one an image: area, entropy, rank correlation, share on a part
randomized  the same network with random weights, for the sanity check
measured    means over images with intervals; maps that are zero everywhere are counted
"""

from msda_analysis.attribution.grad_cam import enlarge, grad_cam
from msda_analysis.attribution.layers import NoFeatureMap, find_layer
from msda_analysis.attribution.maps import entropy, half_area, is_zero, rank_correlation, share_on
from msda_analysis.attribution.measured import measure_agreement, measure_maps, measure_mixed
from msda_analysis.attribution.randomized import randomize

__all__ = [
    "NoFeatureMap", "enlarge", "entropy", "find_layer", "grad_cam", "half_area", "is_zero", "measure_agreement",
    "measure_maps", "measure_mixed", "randomize", "rank_correlation", "share_on",
]  # fmt: skip
