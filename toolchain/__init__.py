"""What the program is run and tested with: the engine, its plugins, the throw-away cluster."""
