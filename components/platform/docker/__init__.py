"""One host with a container engine as a platform."""
