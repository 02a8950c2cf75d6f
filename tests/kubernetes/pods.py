# SPDX-License-Identifier: MIT
"""pods.py - what a cluster's nodes do, for one pod on this machine: mounts as the manifest says, the container's command
as its user, without capabilities, on a root file system that is read-only. And a network in which hosts are machines."""
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys

from clusters import HERE, NAMESPACE

sys.path += [str(HERE.parent / "system"), str(HERE.parent / "doors")]  # of which machines.py uses a part
from machines import Machine, tool, wait_until  # noqa: E402


def run(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, stdin=subprocess.DEVNULL)


class Bridge:
    """A network of machines, a pod and this host: 10.X.0.0/24."""

    def __init__(self):
        number = os.getpid() % 200
        self.name, self.prefix, self.count = f"hlk{os.getpid()}"[:14], f"10.{20 + number}.0", 0
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "address", "add", f"{self.prefix}.1/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")

    def connect(self, pid):
        """The network of a process gets an address; it has that until it ends."""
        self.count += 1
        address, link = f"{self.prefix}.{10 + self.count}", f"{self.name}.{self.count}"[-15:]
        inside = ("nsenter", "--target", pid, "--net", "--")
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "hosts", "netns", pid)
        run("ip", "link", "set", link, "master", self.name, "up")
        run(*inside, "ip", "address", "add", f"{address}/24", "dev", "hosts")
        run(*inside, "ip", "link", "set", "hosts", "up")
        return address, link

    def close(self):
        run("ip", "link", "delete", self.name)


class Folder:
    """A ConfigMap or Secret as kubelet mounts it: each content is a folder, and "..data" says which one counts."""

    def __init__(self, path):
        self.path, self.number = path, 0
        path.mkdir(parents=True)
        path.chmod(0o755)

    def update(self, files):
        self.number += 1
        content = self.path / f"..{self.number}"
        content.mkdir()
        for name, text in files.items():
            (content / name).write_text(text)
            (content / name).chmod(0o644)
            with contextlib.suppress(FileExistsError):
                (self.path / name).symlink_to(f"..data/{name}")
        (self.path / "..new").symlink_to(content.name)
        (self.path / "..new").rename(self.path / "..data")
        for link in self.path.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink()
        if self.number > 1:
            shutil.rmtree(self.path / f"..{self.number - 1}")


class Pod:
    """The pod of a Deployment, in a machine that has NGINX: pod.start() runs it; pod.sync() does what kubelet does when
    a ConfigMap or a Secret has changed."""

    def __init__(self, cluster, deployment, folder, **environment):
        self.cluster = cluster
        found = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "deployment", deployment, "-o", "json"))
        self.spec = found["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.machine = Machine(f"kube-{os.getpid()}-pod", "--bare", "--no-build")
        self.network = self.machine.network
        self.folders = {volume["name"]: Folder(self.machine.path(f"/srv/{volume['name']}"))
                        for volume in self.spec["volumes"] if "emptyDir" not in volume}
        self.environment = {"POLL_SECONDS": "0.1", **self.variables(), **environment}
        self.sync()
        self.log = folder / "log"
        self.log.touch()
        self.log.chmod(0o666)  # opened by its user as /dev/stdout
        self.process = None

    def variables(self):
        """Of the manifest: a text, or the pod's namespace."""
        found = {}
        for variable in self.container.get("env", []):
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                assert source["fieldRef"]["fieldPath"] == "metadata.namespace"
                found[variable["name"]] = NAMESPACE
            else:
                found[variable["name"]] = variable["value"]
        return found

    def content(self, volume):
        kind, name = (("configmap", volume["configMap"]["name"]) if "configMap" in volume else
                      ("secret", volume["secret"]["secretName"]))
        done = self.cluster.kubectl("-n", NAMESPACE, "get", kind, name, "-o", "json", check=False)
        data = json.loads(done.stdout).get("data", {}) if done.returncode == 0 else {}
        if kind == "secret":
            data = {key: base64.b64decode(value).decode() for key, value in data.items()}
        items = volume.get("secret", {}).get("items")
        return {item["path"]: data[item["key"]] for item in items if item["key"] in data} if items else data

    def sync(self):
        for volume in self.spec["volumes"]:
            if volume["name"] in self.folders:
                self.folders[volume["name"]].update(self.content(volume))

    def start(self):
        security = self.spec["securityContext"]
        script = ["set -e"]
        for mount in self.container["volumeMounts"]:
            target, name = mount["mountPath"], mount["name"]
            script += [f"mkdir -p {target}", f"mount --bind /srv/{name} {target}" if name in self.folders else
                       f"mount -t tmpfs -o mode=1777 none {target}"]
        script += ["mount -o remount,bind,ro /",
                   f'exec setpriv --reuid={security["runAsUser"]} --regid={security["runAsGroup"]} --clear-groups '
                   '--bounding-set=-all --inh-caps=-all --no-new-privs -- "$@"']
        command = self.container.get("command", []) + self.container.get("args", [])
        self.process = subprocess.Popen(
            self.machine.argv(["unshare", "--mount", "sh", "-c", "\n".join(script), "pod", *command], env=self.environment),
            stdin=subprocess.DEVNULL, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)

    def said(self):
        return self.log.read_text()

    def stop(self):
        self.machine.down()
        if self.process:
            self.process.wait(10)
