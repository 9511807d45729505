"""The alignment check: displacement, time, borders and colours of a restored clip beside its truth."""
