"""The engine's own tests, on PostgreSQL."""

from tests.unit.operations.test_lease import *  # noqa: F403
from tests.unit.operations.test_reads import *  # noqa: F403
from tests.unit.operations.test_requests import *  # noqa: F403
from tests.unit.operations.test_sending import *  # noqa: F403
from tests.unit.operations.test_slices import *  # noqa: F403
