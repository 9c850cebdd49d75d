"""What things cost, measured, and the picture of the README: beside the product, used by `make bench...` and tests."""
