// A CONNECT through a node by Node's http2. Arguments: port, folder of certificates, destination, octets.
// Prints one line of JSON: the status, and the hashes of what was sent and of what came back.
const http2 = require('http2'), fs = require('fs'), crypto = require('crypto'), path = require('path');
const [port, folder, authority, octets] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name));
const session = http2.connect(`https://127.0.0.1:${port}`, {
  cert: read('alice.pem'), key: read('alice.key'), ca: read('ca.pem'),
  ALPNProtocols: ['h2'], minVersion: 'TLSv1.3', checkServerIdentity: () => undefined,
});
session.on('error', (error) => { console.log(JSON.stringify({ error: error.code })); process.exit(0); });
const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false });
const [up, down] = [crypto.createHash('sha256'), crypto.createHash('sha256')];
const told = { status: null, length: 0 };
stream.on('response', (headers) => {
  told.status = headers[':status'];
  told.baggage = headers['baggage'];
  if (told.status !== 200) return;
  const data = crypto.randomBytes(Number(octets));
  up.update(data);
  stream.end(data);
});
stream.on('data', (chunk) => { told.length += chunk.length; down.update(chunk); });
stream.on('error', (error) => { told.error = error.code; });
stream.on('close', () => {
  told.code = stream.rstCode;
  told.sent = up.digest('hex');
  told.received = down.digest('hex');
  console.log(JSON.stringify(told));
  session.close();
});
