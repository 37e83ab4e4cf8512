"""Reading a queue of firehose messages as fast as they come.

pika makes the connection, keeps its heartbeat and answers the broker; only the deliveries are read past it (`frames`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByClient, ConnectionClosedByClient

from functions.rpc_trace.frames import Frames, NotAmqp
from functions.rpc_trace.sighting import Headers
from shared.errors import DroverError
from shared.rabbit.failures import explained

PREFETCH = 10_000
"""Messages that the broker may have under way to us without an acknowledgement, if nothing else is said."""
ACK_EVERY = 1_000
"""Messages that one acknowledgement covers."""
CHUNK = 256 * 1024
"""Bytes that are read from the socket at once; pika's 4,096 make a system call for each message."""
LOOK_SECONDS = 0.5
"""Between two looks at the time, at what waits in the queue, and at what was read and not acknowledged."""

Take = Callable[[float, str, Headers, bytes], Any]
"""Gets each message: when it was read, its routing key, the firehose's headers, its body."""


class _Connection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """pika's connection, whose deliveries on one channel can be taken past it."""

    _frames: Frames | None = None
    error: Exception | None = None
    """Raised by whoever gets the deliveries."""
    read_at = 0.0
    """When data was read last, in seconds since 1970."""

    def read_past(self, frames: Frames) -> None:
        """From now on the deliveries go there."""
        self._frames = frames
        if self._transport is not None:
            self._transport._MAX_RECV_BYTES = CHUNK

    def abort(self) -> None:
        """Drop the socket if it is still there, as after an error, so that RabbitMQ sees no reader any more."""
        if not self.is_closed:
            self._adapter_disconnect_stream()
            self.ioloop.start()  # until the socket is closed, which is done there
        self.ioloop.close()

    def to_pika(self, frame: bytes) -> None:
        """One whole frame that is pika's after all."""
        super()._on_data_available(frame)

    def _on_data_available(self, data_in: bytes) -> None:
        if self._frames is None:
            super()._on_data_available(data_in)
        else:
            self.bytes_received += len(data_in)  # the heartbeat's check counts them
            self.read_at = time.time()
            try:
                self._frames.feed(data_in)
            except Exception as error:
                self.error = error  # pika would tell it as a lost connection
                raise


class QueueReader:
    """Reads one queue of a broker.

    Args:
        nodes: the connection's parameters, of each node; the first that answers is taken.
        queue: its name; it exists.
        take: gets every message.
        prefetch: messages that may be under way to us without an acknowledgement; 0 for any number.

    Attributes:
        queue, take, prefetch: as above.
        read: messages so far.
        read_at: when something was read last, in seconds since 1970; 0 if never.
        waiting: messages that were in the queue at the last look, beside those that are on their way to us.
    """

    def __init__(
        self, nodes: Sequence[pika.connection.Parameters], queue: str, take: Take, prefetch: int = PREFETCH
    ) -> None:
        self._nodes = list(nodes)
        self.queue = queue
        self.take = take
        self.prefetch = prefetch
        self.read = 0
        self.read_at = 0.0
        self.waiting = 0
        self._uncertain: Counter[int] = Counter()

    def run(self, seconds: float, enough: Callable[[QueueReader], bool] = lambda reader: False) -> None:
        """Read for so long at most, or until `enough` says so at one of the looks.

        What was read is acknowledged; the rest stays in the queue. After a lost connection `run` goes on where it was:
        what had been read comes again if RabbitMQ has lost the acknowledgement, and is left out.

        Raises:
            Retry: no connection can be made, or it was lost.
            Permanent: no connection can be made with this configuration of TLS.
        """
        error: BaseException | None = None
        for parameters in list(self._nodes):
            reading = _Reading(self, parameters, time.monotonic() + seconds, enough)
            error = reading.run()
            if error is not None:
                self._uncertain += Counter(reading.unconfirmed)
            if error is None or reading.was_open:
                self._nodes.sort(key=lambda node: node is not parameters)  # it answers: the next time it is the first
                break
        if error is not None:
            raise _explained(error, parameters) from error
        self._uncertain.clear()

    def hand_over(self, at: float, key: str, headers: Headers, body: bytes) -> None:
        """One message, unless it was handed over before."""
        if self._uncertain and self._uncertain[number := hash((key, body))] > 0:
            self._uncertain[number] -= 1
            return
        self.read += 1
        self.take(at, key, headers, body)


def _explained(error: BaseException, parameters: pika.connection.Parameters) -> DroverError:
    if isinstance(error, DroverError):
        return error
    at = f"RabbitMQ at {parameters.host}:{parameters.port}"
    return explained(at, error, tls=parameters.ssl_options is not None)


class _Reading:
    """One connection's life.

    Attributes:
        was_open: whether it ever was.
        unconfirmed: hashes of what was handed over, and maybe not acknowledged: the broker may send it again.
    """

    def __init__(
        self,
        reader: QueueReader,
        parameters: pika.connection.Parameters,
        until: float,
        enough: Callable[[QueueReader], bool],
    ) -> None:
        self._reader = reader
        self._until = until
        self._enough = enough
        self._tag = self._acked = self._confirmed = 0
        self._channel: Channel | None = None
        self._error: BaseException | None = None
        self._ending = False
        self.unconfirmed: list[int] = []
        self.was_open = False
        self._connection = _Connection(parameters, self._opened, self._failed, self._closed)

    def run(self) -> BaseException | None:
        """Read until it ends; returns what it ended with, unless it was our wish. Whatever `take` raises is raised."""
        try:
            self._connection.ioloop.start()
        finally:
            self._connection.abort()
        if self._connection.error is not None and not isinstance(self._connection.error, NotAmqp):
            raise self._connection.error
        return self._error

    def _opened(self, connection: Any) -> None:
        self.was_open = True
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.basic_qos(prefetch_count=self._reader.prefetch, callback=lambda _frame: self._consume(channel))

    def _consume(self, channel: Channel) -> None:
        self._connection.read_past(Frames(channel.channel_number, self._deliver, self._connection.to_pika))
        # Exclusive: a second reader would take half of the messages away.
        channel.basic_consume(self._reader.queue, on_message_callback=lambda *_: None, exclusive=True)
        self._look()

    def _deliver(self, tag: int, key: str, headers: Headers, body: bytes) -> None:
        if self._ending:
            return  # not acknowledged any more: it comes again
        self._tag = tag
        self._reader.read_at = self._connection.read_at
        self.unconfirmed.append(hash((key, body)))
        self._reader.hand_over(self._connection.read_at, key, headers, body)
        if tag - self._acked >= ACK_EVERY:
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._tag > self._acked and self._channel is not None and self._channel.is_open:
            self._channel.basic_ack(self._tag, multiple=True)
            self._acked = self._tag

    def _look(self) -> None:
        self._acknowledge()
        left = self._until - time.monotonic()
        if self._channel is None or not self._channel.is_open:
            return
        if left <= 0 or self._is_enough():
            self._ending = True
            self._connection.close()
            return
        acked = self._acked
        self._channel.queue_declare(
            self._reader.queue, passive=True, callback=lambda frame: self._counted(frame, acked)
        )
        self._connection.ioloop.call_later(min(LOOK_SECONDS, left), self._look)

    def _is_enough(self) -> bool:
        try:
            return self._enough(self._reader)
        except DroverError as error:  # the connection is closed in order, so that nothing comes twice
            self._error = error
            return True

    def _counted(self, frame: Any, acked: int) -> None:
        """The broker has answered, so it has taken every acknowledgement that was sent before the question."""
        self._reader.waiting = frame.method.message_count
        del self.unconfirmed[: acked - self._confirmed]
        self._confirmed = acked

    def _channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if not isinstance(reason, ChannelClosedByClient):
            self._error = self._error or reason
            if self._connection.is_open:
                self._connection.close()

    def _failed(self, connection: Any, error: BaseException) -> None:
        self._error = error
        connection.ioloop.stop()

    def _closed(self, connection: Any, reason: BaseException) -> None:
        if not isinstance(reason, ConnectionClosedByClient):
            self._error = self._error or reason
        connection.ioloop.stop()
