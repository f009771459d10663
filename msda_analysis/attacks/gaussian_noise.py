"""Gaussian noise: a blind attack; foolbox's, and its parts put together for L-infinity."""

from msda_analysis.attacks.noise import noise_kind

ATTACKS = {"gaussian_noise": noise_kind("Gaussian noise", "AdditiveGaussianNoiseAttack")}
