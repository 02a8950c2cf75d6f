# SPDX-License-Identifier: MIT
"""clusters.py - what the Kubernetes tests hold a real API server (tests/kubernetes/cluster) by, and what they put around
it: inference services that say what a test wants, and the updater as it runs in a pod or outside."""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
TOOL = HERE / "cluster"
MANIFESTS = HERE.parents[1] / "nginx" / "kubernetes"
NAMESPACE, CONFIGMAP, ACCOUNT = "inference-manager", "nginx-config-map", "nginx-config-updater"
POD_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
SKIPPED = 77
# The updater's exit statuses.
OK, CONFLICT, NO_CONFIGMAP, UNAVAILABLE, OTHER, FORBIDDEN, WRONG_CONFIGURATION = 0, 65, 66, 69, 70, 77, 78


def wait_until(condition, seconds, what):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def names(cluster):
    """The published models, host by host."""
    return [[model["name"] for model in host["models"]] for host in json.loads(cluster.data()["models.json"])["hosts"]]


class NotHere(Exception):
    """The API server's programs cannot be had on this machine."""


class Cluster:
    def __init__(self, name):
        self.name = name
        self.down()
        done = subprocess.run([TOOL, "up", name], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode == SKIPPED:
            raise NotHere(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.folder = pathlib.Path(done.stdout.strip())
        self.admin = self.folder / "admin.kubeconfig"
        self.ca = self.folder / "ca.crt"
        self.server = json.loads(self.kubectl("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]

    def down(self):
        subprocess.run([TOOL, "down", self.name], check=True)

    def kubectl(self, *arguments, input=None, check=True):
        """Its output; or, with check=False, what it did."""
        done = subprocess.run([TOOL, "kubectl", self.name, *arguments], input=input, capture_output=True, text=True,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))
        if not check:
            return done
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def install(self):
        self.kubectl("apply", "-k", str(MANIFESTS))

    def configmap(self, name=CONFIGMAP):
        return json.loads(self.kubectl("-n", NAMESPACE, "get", "configmap", name, "-o", "json"))

    def version(self):
        return self.configmap()["metadata"]["resourceVersion"]

    def data(self):
        return self.configmap().get("data", {})

    def patch(self, data, manager="kubectl-edit"):
        self.kubectl("-n", NAMESPACE, "patch", "configmap", CONFIGMAP, "--type=merge", f"--field-manager={manager}",
                     "-p", json.dumps({"data": data}))

    def fresh(self):
        """An installation on which nothing has been published yet."""
        self.kubectl("-n", NAMESPACE, "delete", "configmap", CONFIGMAP, "--ignore-not-found")
        self.kubectl("apply", "-f", str(MANIFESTS / "nginx-config-map.yaml"))

    def token(self, seconds=600, account=ACCOUNT):
        """A service account's token, signed as the API server signs them, which ends after so many seconds."""
        found = json.loads(self.kubectl("-n", NAMESPACE, "get", "serviceaccount", account, "-o", "json"))
        now = int(time.time())
        claims = {"iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
                  "iat": now - 60, "nbf": now - 60, "exp": now + seconds, "sub": f"system:serviceaccount:{NAMESPACE}:{account}",
                  "kubernetes.io": {"namespace": NAMESPACE,
                                    "serviceaccount": {"name": account, "uid": found["metadata"]["uid"]}}}
        encode = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
        signed = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.folder / "sa.key"], input=signed,
                                   capture_output=True, check=True).stdout
        return (signed + b"." + encode(signature)).decode()


def write_kubeconfig(path, server, ca=None, user=None, **cluster):
    """A kubeconfig as kubectl writes it; JSON is YAML."""
    entry = {"server": server, **({"certificate-authority": str(ca)} if ca else {}), **cluster}
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": entry}], "users": [{"name": "u", "user": user or {}}]}))
    return path


class Hosts:
    """Inference services on addresses of their own: 127.0.0.2 and so on, all on one port."""

    def __init__(self, count):
        self.hosts = []
        port = 0
        for index in range(count):
            self.hosts.append(Host(f"127.0.0.{2 + index}", port))
            port = self.hosts[0].port

    def __getitem__(self, index):
        return self.hosts[index]

    @property
    def urls(self):
        return ",".join(host.url for host in self.hosts)

    def close(self):
        for host in self.hosts:
            host.stop()


class Host:
    """What one answers to GET /models: its models, or whatever `answer` (a function of the handler) does."""

    def __init__(self, address, port):
        self.address, self.models, self.answer, self.token, self.asked = address, {}, None, None, 0
        self.server = None
        self.port = port
        self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                outer.authorization = self.headers.get("Authorization")
                with contextlib.suppress(OSError):
                    (outer.answer or outer.list)(self)

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.daemon_threads = True
        self.server = http.server.ThreadingHTTPServer((self.address, self.port), Handler)
        self.port = self.server.server_port
        self.url = f"http://{self.address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def list(self, handler):
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            status = 401 if handler.headers.get("Authorization") else 403
            return send(handler, status, {"status": "error", "code": "token_required", "message": "a token is needed"})
        send(handler, 200, {"status": "success", "models": [
            {"model_name": name, "file_path": f"/etc/home-lab-services/models/{name}", "port": port,
             "unit": f"model@{name}.service"} for name, port in self.models.items()]})


def send(handler, status, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


class Updater:
    """The program, outside of a pod."""

    def __init__(self, kubeconfig, urls, **environment):
        self.kubeconfig = kubeconfig
        # A proxy that nobody must ask.
        self.environment = {"INFERENCE_SERVICE_URL": urls, "http_proxy": "http://127.0.0.1:9",
                            "https_proxy": "http://127.0.0.1:9", "TZ": "UTC", **environment}

    def argv(self, *options):
        return [BUILD / "nginx-config-updater", "--kubernetes",
                *(["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []), *options]

    def run(self, *options, timeout=60):
        return subprocess.run(self.argv(*options), env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout)

    def ok(self, *options):
        done = self.run(*options)
        assert done.returncode == OK, done.stderr
        return done.stderr

    def start(self, *options):
        return subprocess.Popen(self.argv(*options), env=self.environment, stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
