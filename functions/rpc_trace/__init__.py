"""What the RPC traffic of OpenStack on RabbitMQ is doing: statistics, traces of requests, verdicts on lost calls."""
