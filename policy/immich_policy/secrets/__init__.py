"""The family of rules on secrets: none stands where everybody who may see a resource can read it."""
