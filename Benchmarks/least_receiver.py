#!/usr/bin/env python3
"""The least that a receiver can do, to hold any other against: takes C-STORE from storescu, and answers success.

With a folder, each instance's bytes are on stable storage first: one write past the page cache once all are there, one fsync. No digest, no
header, no row, no check of anything: it cannot be used. It is no strict bound, since writes could overlap what arrives. Without a
folder it keeps nothing at all.
"""
import mmap
import os
import signal
import socket
import struct
import sys

BLOCK = 4096  # what O_DIRECT wants
ASSOCIATE, DATA, RELEASE = 1, 4, 5  # PDU types (PS3.8 9.3)
C_STORE, IS_RESPONSE, NO_DATA_SET, MAXIMUM_PDU = 0x0001, 0x8000, 0x0101, 131072
SOP_CLASS, COMMAND, MESSAGE_ID, SOP_INSTANCE = 0x0002, 0x0100, 0x0110, 0x1000  # elements of group 0000 (PS3.7 E)


def receive(peer, view):
    at = 0
    while at < len(view):
        count = peer.recv_into(view[at:])
        if count == 0:
            raise EOFError
        at += count


def items(data, at=0):
    """Type and value of each item of an association request (PS3.8 9.3.2)."""
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        yield kind, data[at + 4:at + 4 + length]
        at += 4 + length


def item(kind, value):
    return struct.pack(">BxH", kind, len(value)) + value


def accept(request):
    """Accepts every presentation context with the first transfer syntax proposed."""
    answer = request[:68]
    for kind, value in items(request, 68):
        if kind == 0x10:
            answer += item(kind, value)
        elif kind == 0x20:
            syntax = next(name for kind, name in items(value, 4) if kind == 0x40)
            answer += item(0x21, value[:1] + bytes(3) + item(0x40, syntax))
    answer += item(0x50, item(0x51, struct.pack(">I", MAXIMUM_PDU)) + item(0x52, b"1.2.826.0.1.3680043.10.9999"))
    return struct.pack(">BxI", 2, len(answer)) + answer


def elements(command):
    at, found = 0, {}
    while at < len(command):
        _, element, length = struct.unpack_from("<HHI", command, at)
        found[element] = command[at + 8:at + 8 + length]
        at += 8 + length
    return found


def response(request, context):
    def element(number, value):
        return struct.pack("<HHI", 0, number, len(value)) + value
    number = struct.unpack("<H", request[COMMAND])[0] | IS_RESPONSE
    fields = {SOP_CLASS: request[SOP_CLASS], COMMAND: struct.pack("<H", number), 0x0120: request[MESSAGE_ID],
              0x0800: struct.pack("<H", NO_DATA_SET), 0x0900: bytes(2)}  # Status: success
    if SOP_INSTANCE in request:
        fields[SOP_INSTANCE] = request[SOP_INSTANCE]
    body = b"".join(element(*field) for field in fields.items())
    body = element(0, struct.pack("<I", len(body))) + body
    return struct.pack(">BxIIBB", DATA, len(body) + 6, len(body) + 2, context, 3) + body


def serve(peer, name):
    """One association; `name` begins those of its files, None keeps nothing."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    header, memory = memoryview(bytearray(12)), memoryview(mmap.mmap(-1, 1 << 20))
    request, end, count = {}, 0, 0
    while True:
        receive(peer, header[:6])
        kind, length = struct.unpack_from(">BxI", header)
        if kind != DATA:
            body = memoryview(bytearray(length))
            receive(peer, body)
            if kind == RELEASE:
                peer.sendall(struct.pack(">BxII", 6, 4, 0))
            if kind != ASSOCIATE:
                return
            peer.sendall(accept(bytes(body)))
            continue
        receive(peer, header[6:])
        context, is_command, is_last, length = header[10], header[11] & 1, header[11] & 2, length - 6  # storescu puts one PDV into a PDU
        if is_command:
            body = memoryview(bytearray(length))
            receive(peer, body)
            request, end = elements(bytes(body)), BLOCK  # before it goes what the file meta information would be
            if struct.unpack("<H", request[COMMAND])[0] != C_STORE:
                peer.sendall(response(request, context))
            continue
        receive(peer, memory[end:end + length])
        end += length
        if not is_last:
            continue
        if name is not None:
            file = os.open(f"{name}-{count}", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
            os.write(file, memory[:-(-end // BLOCK) * BLOCK])
            os.fsync(file)
            os.close(file)
            count += 1
        peer.sendall(response(request, context))


def main():
    port, folder = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        while True:
            peer, (_, source) = listener.accept()
            if os.fork() == 0:  # a process each, so that none waits for another's interpreter
                try:
                    serve(peer, folder and f"{folder}/{source}")
                except EOFError:
                    pass
                os._exit(0)
            peer.close()


if __name__ == "__main__":
    main()
