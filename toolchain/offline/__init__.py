"""What takes the place of what cannot be had: provider plugins, the language host, a throw-away cluster."""
