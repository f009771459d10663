"""Uniform noise: a blind attack; foolbox's."""

from msda_analysis.attacks.noise import noise_kind

ATTACKS = {"uniform_noise": noise_kind("Uniform noise", "AdditiveUniformNoiseAttack")}
