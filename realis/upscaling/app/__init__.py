"""The application around a method, none of which it knows by name: plan, inputs, outputs, the run, comparisons."""
