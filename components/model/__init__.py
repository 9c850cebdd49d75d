"""Plain data that a deployment is described with: workloads, tasks, exposure, texts with secrets."""
