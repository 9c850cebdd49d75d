"""The checks, by subject. Each is a function of a `Target` (and a door) that gives `Check`s."""
