"""A gRPC client on C core: grpc_client.py ADDRESS SCENARIO [KEY CERTIFICATE CA].

The scenario `all` says `done` on its last line; `dying` says `begun` when the server may die.
"""

import queue
import sys
import time

import grpc
from grpc import StatusCode

LIMIT = 30  # A call that hangs shall fail instead.


class Client:
    def __init__(self, channel):
        self.channel = channel

    def __getattr__(self, name):
        kind = {
            "Expand": "unary_stream",
            "Hang": "unary_stream",
            "FailLate": "unary_stream",
            "Collect": "stream_unary",
            "Chat": "stream_stream",
        }.get(name, "unary_unary")
        return getattr(self.channel, kind)("/peers.Test/" + name)


def unary(client):
    reply, call = client.Echo.with_call(b"hello", LIMIT, (("x-ask", "carried"),))
    assert reply == b"hello", reply
    assert dict(call.initial_metadata())["x-initial"] == "carried", call.initial_metadata()
    # Where tonic is the server, it comes before the reply.
    metadata = dict((*call.initial_metadata(), *call.trailing_metadata()))
    assert metadata["x-trailing-bin"] == b"carried", metadata
    assert client.Echo(b"", LIMIT) == b"", "an empty message"


def server_streaming(client):
    replies = list(client.Expand(b"1000 100", LIMIT))
    assert len(replies) == 1000, len(replies)
    for number, reply in enumerate(replies):
        assert reply == b"%d " % number + b"x" * 100, (number, reply)


def client_streaming(client):
    messages = (b"x" * 100 for _ in range(1000))
    assert client.Collect(messages, LIMIT) == b"1000 100000"
    assert client.Collect(iter(()), LIMIT) == b"0 0", "no message at all"


def bidirectional(client):
    outbox = queue.Queue()
    replies = client.Chat(iter(outbox.get, None), LIMIT)
    # Each message is made only after the reply to the one before has come.
    for number in range(100):
        outbox.put(b"message %d" % number)
        assert next(replies) == b"message %d" % number, number
    outbox.put(None)
    assert not list(replies), "nothing follows"
    assert replies.code() == StatusCode.OK


def large_message(client):
    message = bytes(range(256)) * (4 << 12)
    assert client.Echo(message, LIMIT) == message
    assert b"".join(client.Chat(iter([message, message]), LIMIT)) == message * 2


def deadline_is_passed_on(client):
    for timeout in (5.0, 20.0):
        left = int(client.Left(b"", timeout)) / 1000
        # The C core writes what it has with three digits, rounded up.
        assert timeout - 5 < left <= timeout * 1.01, left


def deadline_that_passes(client):
    for name, call in (
        ("wait", lambda: client.Wait(b"wait", 0.5)),
        ("hang", lambda: list(client.Hang(b"hang", 0.5))),
    ):
        begun = time.monotonic()
        assert code_of(call) == StatusCode.DEADLINE_EXCEEDED, name
        assert 0.4 < time.monotonic() - begun < 5, name
        has_ended(client, name)


def cancellation(client):
    stream = client.Hang(b"left", LIMIT)
    assert next(stream) == b"begun"
    stream.cancel()
    assert stream.code() == StatusCode.CANCELLED, stream.code()
    has_ended(client, "left")


def has_ended(client, label):
    until = time.monotonic() + 1
    while label.encode() not in client.Ended(b"", LIMIT).split(b","):
        assert time.monotonic() < until, f"the server does not know after a second: {label}"
        time.sleep(0.02)


def failure(client):
    for name, code in (("RESOURCE_EXHAUSTED", 8), ("DATA_LOSS", 15), ("ABORTED", 10)):
        request = f"{name} too much: 100 % of é".encode()
        for call in (lambda: client.Fail(request, LIMIT), lambda: list(client.FailLate(request, LIMIT))):
            error = error_of(call)
            assert error.code().value[0] == code, error
            assert error.details() == "too much: 100 % of é", error.details()
            trailing = dict(error.trailing_metadata())
            assert trailing["x-reason"] == "quota", trailing
            assert trailing["x-detail-bin"] == b"\x00\xff", trailing
    received = []
    assert code_of(lambda: received.extend(client.FailLate(b"ABORTED late", LIMIT)))
    assert received == [b"one", b"two"], received
    assert code_of(lambda: client.Nothing(b"", LIMIT)) == StatusCode.UNIMPLEMENTED


def dying(client):
    """The server is killed while one call has no answer yet and another one is in the middle."""
    waiting = client.Wait.future(b"dying", LIMIT)
    stream = client.Hang(b"dying", LIMIT)
    assert next(stream) == b"begun"
    print("begun", flush=True)
    assert waiting.code() == StatusCode.UNAVAILABLE, waiting
    code = code_of(lambda: list(stream))
    assert code in (StatusCode.UNAVAILABLE, StatusCode.INTERNAL), code
    assert code_of(lambda: client.Echo(b"", LIMIT)) == StatusCode.UNAVAILABLE


def code_of(call):
    return error_of(call).code()


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("no error")


def every(client):
    for scenario in (
        unary,
        server_streaming,
        client_streaming,
        bidirectional,
        large_message,
        deadline_is_passed_on,
        deadline_that_passes,
        cancellation,
        failure,
    ):
        scenario(client)


def connect(address, files):
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    if not files:
        return grpc.insecure_channel(address, unlimited)
    key, certificate, authority = (open(file, "rb").read() for file in files)
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return grpc.secure_channel(address, credentials, unlimited)


def main(address, scenario, *files):
    with connect(address, files) as channel:
        {"all": every, "dying": dying}[scenario](Client(channel))
    print("done", flush=True)


main(*sys.argv[1:])
