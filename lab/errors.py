"""What can go wrong with a lab, told to the person who asked for it."""


class LabError(Exception):
    """The lab can't do what was asked; the message says what was found, what was expected and what to do."""


def explain(error: BaseException) -> str | None:
    """What to tell a person about an error; None for one that is a bug of ours."""
    if isinstance(error, LabError | OSError):
        return str(error)
    if type(error).__module__.split(".")[0] in ("openstack", "keystoneauth1"):  # imported late, so told by name
        return f"the lab's cloud does not answer as it should: {error}\nlook at `drover lab status`"
    return None


class ProcessDied(LabError):
    """A process of the lab has ended; the message holds its log's path and last lines."""


class PortTaken(LabError):
    """A port that the lab needs is in use by somebody else."""
