"""Rules on what is registered for Immich, whatever program registers it.

A family of rules is a module with `RULES`; `immich_policy.rules` lists the families. A rule is metadata and a pure
function over the registered resources (`immich_policy.model`), which it sees through `immich_policy.reading.walk`.
"""
