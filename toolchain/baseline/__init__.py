"""`make baseline`: how long a deployment takes for what people wait for, and whether that changed (docs/verify.md)."""
