"""A libzmq peer for interop_test.go: plays one socket, as its arguments say.

It prints "ready" first, then what it sees, one JSON value a line. Frames are described
by their length and CRC, as some have 50 MB.
"""
import json
import sys
import zlib

import zmq


def say(value):
    print(json.dumps(value), flush=True)


def describe(frames):
    return [[len(f), zlib.crc32(f)] for f in frames]


def pattern(size):
    return (b"0123456789abcde\n" * (size // 16 + 1))[:size]


def main():
    role, addr, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    socket = zmq.Context().socket(getattr(zmq, role))
    socket.setsockopt(zmq.LINGER, 0)
    for name, value in options.pop("opts", {}).items():
        socket.setsockopt(getattr(zmq, name), value)
    for topic in options.pop("topics", []):
        socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
    if options.pop("bind", False):
        port = socket.bind_to_random_port("tcp://127.0.0.1") if addr == "any" else socket.bind("tcp://" + addr)
        say({"port": port if addr == "any" else int(addr.rsplit(":")[-1])})
    else:
        socket.connect("tcp://" + addr)
    say("ready")

    if role == "SUB":  # say what comes
        while True:
            say(describe(socket.recv_multipart()))
    elif role in ("REQ", "DEALER"):  # for each size read, ask and say the answer
        for line in sys.stdin:
            body = pattern(int(line))
            socket.send_multipart([body] if role == "REQ" else [b"", body])
            say(describe(socket.recv_multipart()))
    elif role == "ROUTER":  # echo
        while True:
            peer, *frames = socket.recv_multipart()
            socket.send_multipart([peer] + frames)
    elif role in ("PUB", "XPUB"):  # for each list of sizes read, publish
        if role == "XPUB":
            say(socket.recv().hex())
        for line in sys.stdin:
            sizes = json.loads(line)
            socket.send_multipart([pattern(n) for n in sizes])


main()
