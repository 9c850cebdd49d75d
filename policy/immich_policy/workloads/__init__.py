"""The family of rules on containers: their images, what they may do, how they run together."""
