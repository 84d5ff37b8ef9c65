"""A gRPC server on C core: grpc_server.py [KEY CERTIFICATE CA]. Says its port on its first line.

Messages are bytes that mean themselves, so no generated code is needed.
"""

import sys
import threading
from concurrent import futures

import grpc

ENDED = []  # The labels of calls that were cancelled or timed out.


def echo(request, context):
    asked = dict(context.invocation_metadata()).get("x-ask", "")
    context.send_initial_metadata((("x-initial", asked),))
    context.set_trailing_metadata((("x-trailing-bin", asked.encode()),))
    return request


def expand(request, _context):
    count, size = map(int, request.split())
    for number in range(count):
        yield b"%d " % number + b"x" * size


def collect(requests, _context):
    count = total = 0
    for request in requests:
        count += 1
        total += len(request)
    return b"%d %d" % (count, total)


def chat(requests, _context):
    yield from requests


def left(_request, context):
    return b"%d" % (context.time_remaining() * 1000)


def note_end(label, context):
    ended = threading.Event()

    def note():
        ENDED.append(label)
        ended.set()

    assert context.add_callback(note), "called before its end"
    return ended


def hang(request, context):
    ended = note_end(request, context)
    yield b"begun"
    ended.wait(60)


def wait(request, context):
    note_end(request, context).wait(60)
    return b""


def fail(request, context):
    code, message = request.decode().split(" ", 1)
    context.set_trailing_metadata((("x-reason", "quota"), ("x-detail-bin", b"\x00\xff")))
    context.abort(grpc.StatusCode[code], message)


def fail_late(request, context):
    yield b"one"
    yield b"two"
    fail(request, context)


def ended(_request, _context):
    return b",".join(ENDED)


class Service(grpc.GenericRpcHandler):
    METHODS = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Expand": grpc.unary_stream_rpc_method_handler(expand),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Left": grpc.unary_unary_rpc_method_handler(left),
        "Hang": grpc.unary_stream_rpc_method_handler(hang),
        "Wait": grpc.unary_unary_rpc_method_handler(wait),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
        "Ended": grpc.unary_unary_rpc_method_handler(ended),
    }

    def service(self, details):
        return self.METHODS.get(details.method.removeprefix("/peers.Test/"))


def main(files):
    unlimited = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(16), (Service(),), options=unlimited)
    if files:
        key, certificate, authority = (open(file, "rb").read() for file in files)
        credentials = grpc.ssl_server_credentials(
            [(key, certificate)], authority, require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()  # Ends with the test.


main(sys.argv[1:])
