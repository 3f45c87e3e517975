"""What many clients take, calculated from measured unit costs: `python -m bench.scaling`."""
