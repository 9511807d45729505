"""The application around any method: configuration, inputs, outputs, plan, estimate, the run, comparisons."""
