"""A CONNECT through a node by the h2 of Python. Arguments: port, folder of certificates, destination, octets.

Prints one line of JSON: the status, and the hashes of what was sent and of what came back.
"""
import hashlib, json, os, socket, ssl, sys
import h2.config, h2.connection, h2.events

port, folder, authority, octets = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain(f"{folder}/alice.pem", f"{folder}/alice.key")
context.load_verify_locations(f"{folder}/ca.pem")
context.set_alpn_protocols(["h2"])
wire = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))))
connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
connection.initiate_connection()
connection.send_headers(1, [(":method", "CONNECT"), (":authority", authority)])
data = memoryview(os.urandom(int(octets)))
told = {"status": None, "length": 0, "sent": hashlib.sha256(data).hexdigest(), "alpn": wire.selected_alpn_protocol()}
received, ended, at, finished = hashlib.sha256(), False, 0, False
while not ended:
    if told["status"] == 200 and not finished:
        while at < len(data) and (room := connection.local_flow_control_window(1)):
            piece = data[at:at + min(room, connection.max_outbound_frame_size)]
            connection.send_data(1, bytes(piece))
            at += len(piece)
        if at == len(data):
            connection.end_stream(1)
            finished = True
    wire.sendall(connection.data_to_send())
    octets_in = wire.recv(65536)
    if not octets_in:
        told["error"] = "eof"
        break
    for event in connection.receive_data(octets_in):
        if isinstance(event, h2.events.ResponseReceived):
            told["status"] = int(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            told["length"] += len(event.data)
            received.update(event.data)
            connection.acknowledge_received_data(event.flow_controlled_length, 1)
        elif isinstance(event, h2.events.StreamEnded):
            ended = True
        elif isinstance(event, h2.events.StreamReset):
            told["error"], ended = int(event.error_code), True
        elif isinstance(event, h2.events.ConnectionTerminated):
            told["error"], ended = int(event.error_code), True
told["received"] = received.hexdigest()
print(json.dumps(told), flush=True)
