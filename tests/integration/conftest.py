"""A real PostgreSQL and a real RabbitMQ for all tests of this directory, and an empty store for each."""

from __future__ import annotations

import signal
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from shared.store import Database, create
from tests.support.bench import Bench
from tests.support.letters import Keeper
from tests.support.postgres import Postgres, PostgresMissing
from tests.support.rabbit import Rabbit, RabbitMissing

TABLES = "step, operation, inbox, outbox, audit, dead_letter"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the tests ends the server as well
    try:
        server = Postgres()
    except PostgresMissing as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.close()


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """A RabbitMQ."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        broker = Rabbit()
    except RabbitMissing as error:
        pytest.fail(str(error), pytrace=False)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The address of a database that has all tables."""
    create(postgres.url).close()
    return postgres.url


@pytest.fixture
def database(migrated: str) -> Iterator[Database]:
    """An empty store."""
    database = Database(migrated)
    with database.transaction() as session:
        session.connection().execute(text(f"TRUNCATE {TABLES} RESTART IDENTITY"))
    yield database
    database.close()


@pytest.fixture
def bench(database: Database) -> Bench:
    """An engine on it."""
    return Bench(database)


@pytest.fixture
def keeper(database: Database) -> Keeper:
    """A keeper on it, with a broker behind it."""
    return Keeper(database)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged is kept for the test to look at; printing tracebacks would take longer than the tests."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(scope="session")
def thorough() -> bool:
    """Whether long tests take all cases, or a sample that takes seconds."""
    return True
