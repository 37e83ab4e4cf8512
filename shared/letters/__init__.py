"""Dead letters: events that a broker could not deliver, kept so that people see them and can have them sent again."""

from shared.letters.keep import Letterbox

__all__ = ["Letterbox"]
