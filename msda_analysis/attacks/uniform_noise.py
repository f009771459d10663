"""Uniform noise: a blind attack; foolbox's."""

from msda_analysis.attacks.noise import noise_kind

UNIFORM_NOISE = noise_kind("Uniform noise", "AdditiveUniformNoiseAttack")
