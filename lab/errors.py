"""What can go wrong with a lab, told to the person who asked for it."""


class LabError(Exception):
    """The lab can't do what was asked; the message says what was found, what was expected and what to do."""


class ProcessDied(LabError):
    """A process of the lab has ended; the message holds its log's path and last lines."""


class PortTaken(LabError):
    """A port that the lab needs is in use by somebody else."""
