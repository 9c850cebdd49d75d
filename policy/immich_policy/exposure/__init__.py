"""The family of rules on what can be reached, and from where."""
