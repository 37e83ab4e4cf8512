"""The library that all functions stand on."""

VERSION = "0.1.0"
"""Of Drover; stated here because the image holds the code without an installed distribution."""
