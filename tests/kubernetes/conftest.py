# SPDX-License-Identifier: MIT
"""One API server for all tests, with the shipped manifests applied; each test finds an unpublished ConfigMap."""
import os
import signal

import pytest

from clusters import Cluster, Hosts, NotHere, Updater, write_kubeconfig


@pytest.fixture(scope="session")
def api_server():
    try:
        one = Cluster(f"tests-{os.getpid()}")
    except NotHere as reason:
        pytest.skip(str(reason))
    one.install()
    yield one
    one.down()


@pytest.fixture
def cluster(api_server):
    api_server.fresh()
    return api_server


@pytest.fixture
def hosts():
    two = Hosts(2)
    yield two
    two.close()


@pytest.fixture
def updater(cluster, hosts, tmp_path):
    """As the service account of the manifests, with the rights that they give it."""
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", cluster.server, cluster.ca, {"token": cluster.token()})
    return Updater(kubeconfig, hosts.urls)


@pytest.fixture(autouse=True)
def no_longer_than_two_minutes():
    def too_long(*_):
        raise TimeoutError("this test takes longer than two minutes")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(120)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what NGINX said."""
    report = (yield).get_result()
    world = item.funcargs.get("world")
    if report.failed and world:
        report.sections.append(("NGINX", world.pod.said()[-5000:]))
