"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# On a busy machine one example may take long without anything being wrong.
settings.register_profile("drover", deadline=None)
settings.load_profile("drover")
