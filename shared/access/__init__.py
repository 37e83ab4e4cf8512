"""Who may do what at a function's door. Nobody gets in unless a means is configured that says who he is."""

from shared.access.caller import Caller, Knock, Role
from shared.access.errors import Denied, Forbidden, TooMany, Unauthenticated
from shared.access.gate import Admission, Gate, OpenGate

__all__ = [
    "Admission",
    "Caller",
    "Denied",
    "Forbidden",
    "Gate",
    "Knock",
    "OpenGate",
    "Role",
    "TooMany",
    "Unauthenticated",
]
