"""Taking a host out of service and giving it back: only what Drover disabled does Drover enable."""

from __future__ import annotations

from functions.migrate.nova import ComputeService, Nova
from shared.errors import Permanent
from shared.operations import Act, Work

MARK = "drover drain "
"""What every reason begins with that a drain writes into a service."""

MAX_REASON = 255
"""Characters that Nova keeps of a reason."""


FENCED = "(fenced)"
"""What says in such a reason that the drain has forced the service down as well."""

FORCED = "forced_down_by_us"
"""Where the memo of a drain keeps that."""


def our_reason(operation_id: str, reason: str, fenced: bool = False) -> str:
    """The reason that a drain disables a service with: who it was can be told from it, by machines and by people."""
    return f"{MARK}{operation_id[:8]}{f' {FENCED}' if fenced else ''}: {reason}"[:MAX_REASON]


def is_ours(service: ComputeService) -> bool:
    """Whether the service is disabled, and a drain did it."""
    return service.status == "disabled" and (service.disabled_reason or "").startswith(MARK)


def is_fenced(service: ComputeService) -> bool:
    """Whether a drain has forced it down, as the reason says that it is disabled for."""
    return is_ours(service) and FENCED in (service.disabled_reason or "").partition(":")[0]


def take(work: Work, nova: Nova, service: ComputeService, fenced: bool = False) -> None:
    """Disable the host's service, unless it is disabled already: somebody else's reason is not overwritten.

    Args:
        fenced: this drain has forced it down; a drain's own reason is brought up to date with that.
    """
    reason = our_reason(work.operation.id, work.operation.reason, fenced)
    if service.status == "disabled" and (not fenced or not is_ours(service) or is_fenced(service)):
        work.memo["disabled_by_us"] = is_ours(service)
        work.save(acts=[Act("found service disabled", service.host, _facts(service), _facts(service))])
        return
    work.memo["disabled_by_us"] = True
    after = {"status": "disabled", "reason": reason}
    work.save(acts=[Act("disable service", service.host, _facts(service), after)])
    nova.disable(service, reason)


def give_back(work: Work, nova: Nova) -> str:
    """Enable the host's service if a drain disabled it.

    Returns:
        What was done, in a sentence.

    Raises:
        Permanent: it is disabled for somebody else's reason, or forced down.
    """
    host = work.operation.target
    service = nova.service(host)
    if service.status == "enabled":
        return f"{host} is enabled already"
    if not is_ours(service):
        raise Permanent(
            f"{host} is disabled, but not by a drain: its reason is {service.disabled_reason!r}. Whoever disabled it "
            f"enables it: openstack compute service set --enable {host} nova-compute"
        )
    if service.forced_down:
        raise Permanent(
            f"{host} is forced down: it was evacuated. Start its nova-compute, then: drover undrain {host}, which "
            "waits until it has cleaned up"
        )
    work.save(acts=[Act("enable service", host, _facts(service), {"status": "enabled"})])
    nova.enable(service)
    return f"{host} is enabled"


def force_down(work: Work, nova: Nova, service: ComputeService, statement: str) -> None:
    """State to Nova that the host is dead, on somebody's word, which goes on record."""
    work.memo[FORCED] = True
    after = {"forced_down": True, "fenced": statement}
    work.save(acts=[Act("force service down", service.host, {"forced_down": service.forced_down}, after)])
    nova.force_down(service, True)


def _facts(service: ComputeService) -> dict[str, str | None]:
    return {"status": service.status, "reason": service.disabled_reason}
