"""Requests that are no tunnels, by httpx over HTTP/2. Arguments: port, folder of certificates. Prints their statuses."""
import json, ssl, sys
import httpx

port, folder = sys.argv[1:]
context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
context.check_hostname = False
context.load_cert_chain(f"{folder}/alice.pem", f"{folder}/alice.key")
with httpx.Client(http1=False, http2=True, verify=context, trust_env=False) as client:
    answers = [client.request(method, f"https://127.0.0.1:{port}/") for method in ("GET", "POST", "OPTIONS")]
print(json.dumps({"versions": [it.http_version for it in answers], "statuses": [it.status_code for it in answers]}))
