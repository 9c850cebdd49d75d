"""`make status`: how a deployment is now (docs/verify.md)."""
