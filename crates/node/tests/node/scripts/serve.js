// An HBONE server by Node's http2: answers CONNECT, dials and pipes. Argument: folder of certificates.
// Prints its port, then a line for each tunnel.
const http2 = require('http2'), fs = require('fs'), net = require('net'), path = require('path');
const read = (name) => fs.readFileSync(path.join(process.argv[2], name));
const server = http2.createSecureServer({
  cert: read('bob.pem'), key: read('bob.key'), ca: read('ca.pem'),
  requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3',
});
server.on('stream', (stream, headers) => {
  const names = Object.keys(headers).filter((name) => name.startsWith(':')).sort().join(' ');
  console.log(`tunnel ${headers[':method']} ${headers[':authority']} ${names} sni=${stream.session.socket.servername}`);
  const url = new URL(`tcp://${headers[':authority']}`);
  const socket = net.connect({ port: url.port, host: url.hostname, allowHalfOpen: true }, () => {
    stream.respond({ ':status': 200 });
    socket.pipe(stream);
    stream.pipe(socket);
  });
  socket.on('error', () => (stream.headersSent ? stream.close(10) : (stream.respond({ ':status': 503 }, { endStream: true }))));
  stream.on('error', () => socket.resetAndDestroy());
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
