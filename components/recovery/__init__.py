"""What a loss costs and what to do then: copies, capacity, times, runbooks. Pure."""
