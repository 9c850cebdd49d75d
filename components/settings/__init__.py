"""The configuration of a stack, typed. Imports no Pulumi."""
