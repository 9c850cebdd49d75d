"""The family of rules on uploads: every hop in front of Immich carries one of the declared size."""
