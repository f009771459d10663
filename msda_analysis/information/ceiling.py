"""What is left of a number near the most that its method can show."""

#: Share of a ceiling, such as ln K of K samples, beyond which a value says little.
NEAR_CEILING = 0.8
