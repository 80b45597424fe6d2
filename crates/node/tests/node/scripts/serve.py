"""An HBONE server by the h2 of Python: answers CONNECT 200 and sends back what it gets. Argument: folder of certificates.

Prints its port, then a line for each tunnel.
"""
import socket, ssl, sys, threading
import h2.config, h2.connection, h2.events

folder = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain(f"{folder}/bob.pem", f"{folder}/bob.key")
context.load_verify_locations(f"{folder}/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.set_alpn_protocols(["h2"])
listener = socket.create_server(("127.0.0.1", 0))
print(f"port {listener.getsockname()[1]}", flush=True)


def flush(connection, waiting, ended):
    """Sends what the windows have room for; ends streams that have nothing left to send."""
    for stream, data in list(waiting.items()):
        while data and (room := connection.local_flow_control_window(stream)):
            piece = bytes(data[:min(room, connection.max_outbound_frame_size)])
            connection.send_data(stream, piece)
            del data[:len(piece)]
        if not data and stream in ended:
            connection.end_stream(stream)
            del waiting[stream]


def serve(wire):
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    waiting, ended = {}, set()
    wire.sendall(connection.data_to_send())
    while octets := wire.recv(65536):
        for event in connection.receive_data(octets):
            if isinstance(event, h2.events.RequestReceived):
                fields = dict(event.headers)
                names = " ".join(sorted(name.decode() for name in fields if name.startswith(b":")))
                # In one call: lines of several threads must not run into each other.
                said = f"tunnel {fields[b':method'].decode()} {fields[b':authority'].decode()} {names}\n"
                sys.stdout.write(said)
                sys.stdout.flush()
                connection.send_headers(event.stream_id, [(":status", "200")])
                waiting[event.stream_id] = bytearray()
            elif isinstance(event, h2.events.DataReceived):
                waiting[event.stream_id] += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                waiting.pop(event.stream_id, None)
        flush(connection, waiting, ended)
        wire.sendall(connection.data_to_send())


while True:
    wire = context.wrap_socket(listener.accept()[0], server_side=True)
    threading.Thread(target=serve, args=(wire,), daemon=True).start()
