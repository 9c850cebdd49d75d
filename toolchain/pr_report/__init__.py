"""`make pr-report`: what a change does to a stack, as Markdown for a pull request."""
