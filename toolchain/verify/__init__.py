"""`make verify`: whether a deployment really works, asked from outside and from inside (docs/verify.md)."""
