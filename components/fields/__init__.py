"""Field types and the base of the models that read settings."""
