# SPDX-License-Identifier: MIT
"""The updater's image, built by buildah as the Containerfile says, and started. The base image is made of Debian's packages,
as the one of its name is: no registry of images is asked."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
IMAGE = "localhost/home-lab-services/nginx-config-updater"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    if not shutil.which("buildah") or os.geteuid() != 0:
        pytest.skip("the image cannot be built here: it takes root and buildah (tests/install-dependencies kubernetes)")
    folder = tmp_path_factory.mktemp("images")
    env = os.environ | {"BUILDAH_ISOLATION": "chroot"}  # this host may be a container itself
    yield lambda *words, **options: run("buildah", "--storage-driver=vfs", f"--root={folder}/root", f"--runroot={folder}/run",
                                        *words, env=env, **options)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    tree = tmp_path_factory.mktemp("base")
    words = subprocess.run(["apt-config", "dump", "--no-empty", "--format", '%f "%v"%n', "Acquire::http", "Acquire::https",
                            "Acquire::Check-Valid-Until"], capture_output=True, text=True, check=True).stdout.splitlines()
    run("mmdebstrap", "--quiet", "--variant=minbase", *(f"--aptopt={word}" for word in words), "bookworm", str(tree))
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(tree), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(tree)


@pytest.mark.usefixtures("base")
def test_the_image_builds_and_starts(buildah):
    buildah("build", "--pull-never", "--quiet", f"--tag={IMAGE}", f"--file={ROOT}/nginx/kubernetes/Containerfile", str(ROOT))
    container = buildah("from", "--pull-never", IMAGE)
    config = buildah("inspect", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}", IMAGE)
    assert config == "65532:65532 [/usr/local/bin/nginx-config-updater] [--kubernetes --interval 30s]"
    assert "Asks inference services for their models" in buildah("run", container, "--", "nginx-config-updater", "--kubernetes", "--help")
