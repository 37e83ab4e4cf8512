"""RabbitMQ as Drover knows it: where the brokers are, their management API, and the firehose, armed and disarmed."""

from shared.rabbit.broker import Broker, all_brokers, find_broker
from shared.rabbit.firehose import EXCHANGE, QUEUE, Firehose, disarm_abandoned
from shared.rabbit.management import Management, Node

__all__ = [
    "EXCHANGE", "QUEUE", "Broker", "Firehose", "Management", "Node", "all_brokers", "disarm_abandoned", "find_broker",
]  # fmt: skip
