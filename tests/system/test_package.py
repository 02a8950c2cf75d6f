# SPDX-License-Identifier: MIT
"""The Debian packages: built and installed as README.md says, upgraded under load, removed, purged; and the way there from
"make install"."""
import contextlib
import shutil
import subprocess
import threading

import pytest

import documents
from machines import BUILD, DEMO_MODEL, ETC, MODELS, PATIENCE, PORTS, SERVICES, SOURCE, UP, install, on_trixie_alone, wait_until

pytestmark = pytest.mark.seconds(600)  # the first of them compiles the product, beside all other tests
HOME = "/root/home-lab-services"
PACKAGES = f"{HOME}/build/deb"
NAMES = ("home-lab-services", "home-lab-services-nginx")
ENABLED = (*(f"{service}.service" for service in SERVICES), "home-lab-services.service", "model-idle-sweep.timer",
           "model-idle-sweep-before-sleep.service")
SITE, LINK = "/etc/nginx/sites-available/home-lab-services", "/etc/nginx/sites-enabled/home-lab-services"
NGINX = 8080
CONFIG = '{"shutdown": {"default_minutes": 7}}'


def apt(host, *arguments):
    done = host.run(["apt-get", "--yes", *arguments], env={"DEBIAN_FRONTEND": "noninteractive"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout + done.stderr


def install_packages(host, folder=PACKAGES):
    return apt(host, "install", *host.sh(f"ls {folder}/*.deb").split())


def sources(host, folder):
    """What a newcomer has checked out, in a folder of his own."""
    host.sh(f"mkdir {folder} && cd {SOURCE} && tar --create --exclude=./build . | tar --extract --directory={folder}")


def repacked(host, version, changes):
    """The packages once more, as another version, with what these commands change in the tree of the first."""
    folder = f"/root/{version}"
    host.sh(f"""mkdir {folder} && cd {folder}
        for deb in {PACKAGES}/*.deb; do
            name=$(dpkg-deb --field $deb Package)
            dpkg-deb --raw-extract $deb $name
            sed -i '/^Depends:/ s/(>= [^)]*), home-lab-services (<< [^)]*)/(= {version})/; s/^Version: .*/Version: {version}/' $name/DEBIAN/control
        done
        {changes}
        for name in {' '.join(NAMES)}; do dpkg-deb --build $name $name.deb && rm -r $name; done""")
    return folder


class Load:
    """Clients who ask all the time, one thread each. Each request has to succeed."""

    def __init__(self, host, *requests):
        self.bad, self.count, self.end = [], dict.fromkeys(requests, 0), threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(host, *request), daemon=True) for request in requests]

    def ask(self, host, method, port, path):
        while not self.end.wait(0.02):
            try:
                accept = {"Accept": "text/html"} if path == "/" else {}  # the page is for browsers
                answer = host.http(method, port, path, {} if method == "POST" else None, accept, timeout=500)
                if answer.status != 200:
                    self.bad.append((method, port, path, answer))
            except OSError as error:
                self.bad.append((method, port, path, error))
            self.count[method, port, path] += 1

    def goes_on(self):
        """Each has asked again, twice, so that one request lies wholly after what has happened."""
        before = dict(self.count)
        wait_until(lambda: all(self.count[each] > before[each] + 1 for each in before), PATIENCE, "all clients go on")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()


def everybody(host):
    return Load(host, ("GET", 5001, "/shutdown/next"), ("GET", 5002, "/models"), ("GET", 5003, "/models/activity"),
                ("GET", NGINX, "/api/inference/models"), ("GET", NGINX, "/v1/models"), ("GET", NGINX, "/tiny/v1/models"),
                ("GET", NGINX, "/"))


def is_in_order(host):
    assert host.is_active(*UP) and host.ports_open() == list(PORTS) and host.failed_units() == ""
    done = host.run("home-lab-services check")
    assert done.returncode == 0 and "Everything is in order." in done.stdout, done.stdout


def nginx_knows(host, name):
    locations = host.path("/var/lib/home-lab-services/nginx/models.conf")
    wait_until(lambda: f"location /{name}/ " in locations.read_text(), PATIENCE, f"NGINX knows {name}")
    wait_until(lambda: host.http("GET", NGINX, f"/{name}/v1/models").status == 200, PATIENCE, f"{name} answers by NGINX")


@pytest.fixture(scope="module")
def host(make_machine):
    """A newcomer's, with an NGINX that runs, in the sources."""
    host = make_machine("--bare")
    host.put("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)
    host.put(DEMO_MODEL, (host.path(SOURCE) / "tests/demo/demo-model").read_text(), 0o755)
    host.sh("rm /etc/nginx/sites-enabled/default && systemctl enable --now nginx")
    sources(host, HOME)
    return host


@pytest.fixture(scope="module")
def installed(host):
    """As README.md says; what the packages have said is in .said."""
    host.said = ""
    for _, block in documents.blocks("README.md", "Install it"):
        done = host.run(["bash", "-ec", f"cd {HOME}\n{block}"], timeout=500)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        host.said += done.stdout
    host.put(ETC + "/config.json", CONFIG)
    host.model("tiny", 8198)
    host.sh("home-lab-services token add me --scope read >/dev/null")
    return host


def test_installed_it_runs(installed):
    assert "what to do next" in installed.said
    is_in_order(installed)
    states = installed.sh("systemctl list-unit-files --state=enabled --plain --no-legend").splitlines()
    assert set(ENABLED) == {line.split()[0] for line in states} - {"nginx.service"} & set(ENABLED)
    assert installed.run("find /usr/local -name '*home-lab*' ! -path '*-demo*'").stdout == ""
    assert installed.http("GET", 5001, "/shutdown/system")["service_config"]["default_minutes"] == 7
    installed.sh("home-lab-services start tiny")
    nginx_knows(installed, "tiny")


def test_the_units_are_understood(installed):
    done = installed.run("systemd-analyze verify --man=no --recursive-errors=no "
                         "$(dpkg -L home-lab-services | sed -n 's|.*lib/systemd/system/||p' | grep -v '/\\|[.]d$' | sed 's/-lan@/&127.0.0.1/')")
    assert done.returncode == 0 and done.stderr == "", done


def test_lintian_finds_no_errors(installed, tmp_path):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not here")
    for deb in installed.path(PACKAGES).glob("*.deb"):
        shutil.copy(deb, tmp_path)
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", *tmp_path.glob("*.deb")], capture_output=True, text=True)
    assert done.returncode == 0, done


@on_trixie_alone
def test_two_builds_are_the_same_bytes(installed):
    """From another folder, in another time zone and language, as another user's umask has it."""
    sources(installed, "/root/other")
    installed.sh("cd /root/other && umask 077 && make deb BUILD=elsewhere >/dev/null 2>&1",
                 env={"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}, timeout=500)
    sums = [installed.sh(f"cd {folder} && sha256sum *.deb") for folder in (PACKAGES, "/root/other/elsewhere/deb")]
    assert sums[0] == sums[1] and len(sums[0].splitlines()) == 2


def test_an_upgrade_fails_no_request(installed):
    """All programs are others, a socket's worker has another unit, and NGINX another file."""
    folder = repacked(installed, "9.0", """
        for file in home-lab-services/usr/libexec/home-lab-services/*; do echo newer >>$file; done
        echo '# newer' | tee -a home-lab-services/*/systemd/system/model-router.service \\
            home-lab-services/*/*/systemd/system/model-router.service home-lab-services-nginx/usr/share/home-lab-services/nginx/*/http.conf
    """)
    installed.put("/run/loads", "")
    installed.model("slow", 8199, options="--load-seconds 0 --lock-file /run/loads", extra='START_TIMEOUT="10min"\n')
    wait_until(lambda: installed.http("GET", NGINX, "/slow/health", headers={"Host": "elsewhere.example"}).status != 404,
               PATIENCE, "NGINX knows slow")
    opened = installed.properties("model-router.socket", "ActiveEnterTimestampMonotonic")
    router = installed.properties("model-router.service", "MainPID")
    held = Load(installed, ("POST", NGINX, "/slow/v1/completions"))
    held.threads[0].start()
    wait_until(lambda: installed.is_active("model@slow.service") or "activating" in
               installed.run("systemctl is-active model@slow.service").stdout, PATIENCE, "somebody waits for slow")
    with everybody(installed) as load:
        said = install_packages(installed, folder)
        load.goes_on()
        installed.path("/run/loads").unlink()
        held.goes_on()
        held.__exit__()
    installed.sh(f"systemctl stop model@slow.service && rm {MODELS}/slow")
    assert load.bad == [] and held.bad == []
    assert "what to do next" not in said
    assert installed.properties("model-router.socket", "ActiveEnterTimestampMonotonic") == opened
    assert installed.properties("model-router.service", "MainPID") != router
    assert "# newer" in installed.path("/etc/nginx/home-lab-services/http.conf").read_text()
    is_in_order(installed)


def test_what_the_administrator_has_made_of_it_stays(installed):
    """In an upgrade, and in one that changes nothing."""
    installed.sh("systemctl disable --now inference-service.service")
    mine = installed.path(SITE).read_text() + "# mine\n"
    installed.put(SITE, mine)
    before = installed.sh(f"cd {ETC} && sha256sum config.json tokens models/*")
    install_packages(installed, repacked(installed, "9.1", ""))
    assert installed.ports_open() == [5001, 5003]
    assert installed.path(SITE).read_text() == mine and installed.sh(f"cd {ETC} && sha256sum config.json tokens models/*") == before
    installed.sh("systemctl enable --now inference-service.service")
    is_in_order(installed)


def test_make_install_is_refused_beside_it(installed):
    done = install(installed)
    assert done.returncode != 0 and "the package home-lab-services is installed" in done.stderr, done


def test_removed_it_is_gone_but_for_what_is_the_users(installed):
    before = installed.sh(f"cd {ETC} && sha256sum config.json tokens models/*")
    apt(installed, "remove", NAMES[0])  # and what needs it
    assert installed.ports_open() == [] and installed.pids_of() == [] and installed.pids_of("home-lab-models") == []
    assert installed.is_active("nginx.service") and installed.run("nginx -t").returncode == 0
    assert not installed.path("/etc/nginx/home-lab-services").exists() and not installed.path(LINK).is_symlink()
    assert not installed.path("/usr/libexec/home-lab-services").exists() and installed.failed_units() == ""
    assert installed.sh(f"cd {ETC} && sha256sum config.json tokens models/*") == before
    install_packages(installed)  # and back
    is_in_order(installed)
    assert "# mine" in installed.path(SITE).read_text() and installed.http("GET", NGINX, "/v1/models").status == 200


def test_purged_nothing_is_left(installed):
    installed.sh("echo weights >/var/lib/home-lab-models/weights")
    said = apt(installed, "purge", *NAMES)
    assert "/var/lib/home-lab-models is not empty, and stays" in said
    installed.sh("rm -r /var/lib/home-lab-models")
    left = installed.sh("find /etc /run /usr /var/lib -xdev -name '*home-lab*' ! -path '/usr/src/*' ! -path '*-demo*'")
    assert left == "" and installed.failed_units() == ""
    assert installed.run("find /etc/systemd /usr/lib/systemd -name 'model[-@]*' -o -name '*-service.*'").stdout == ""
    assert installed.is_active("nginx.service") and installed.run("nginx -t").returncode == 0


@on_trixie_alone
def test_from_make_install_to_the_package(installed):
    """No request fails on the way, and nothing of the user's is lost."""
    host = installed
    made = "find /usr/local /etc/polkit-1 -type f"
    nothing = host.sh(made)
    assert install(host).returncode == 0
    host.put(ETC + "/config.json", CONFIG)
    host.model("tiny", 8198)
    host.sh("home-lab-services token add me --scope read >/dev/null && home-lab-services start tiny")
    nginx_knows(host, "tiny")
    host.sh("systemctl disable --now model-idle-sweep.timer")
    host.put(SITE, host.path(SITE).read_text() + "# mine\n")
    before = host.sh(f"cd {ETC} && sha256sum config.json tokens models/* {SITE}")
    started = host.properties("model@tiny.service", "MainPID")
    with everybody(host) as load:
        said = install_packages(host)
        load.goes_on()
    assert load.bad == []
    assert "/usr/local is the package's now" in said
    assert host.sh(made) == nothing
    assert host.sh(f"cd {ETC} && sha256sum config.json tokens models/* {SITE}") == before
    assert host.properties("model@tiny.service", "MainPID") == started
    assert host.run("systemctl is-enabled model-idle-sweep.timer").stdout == "disabled\n"
    assert not host.is_active("model-idle-sweep.timer")
    assert host.run("find /etc/systemd/system -xtype l").stdout == ""
    host.sh("systemctl enable --now model-idle-sweep.timer")
    is_in_order(host)
    apt(host, "purge", *NAMES)


def test_a_broken_nginx_and_a_port_that_is_taken(host):
    """NGINX stays as it is, and the packages are installed."""
    host.put("/etc/nginx/conf.d/broken.conf", "nonsense;\n")
    said = install_packages(host)
    assert "NGINX's configuration is not valid" in said and not host.path(LINK).is_symlink()
    assert host.is_active("nginx.service", *UP)
    apt(host, "purge", *NAMES)
    host.sh("rm /etc/nginx/conf.d/broken.conf")
    host.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 8080")
    wait_until(lambda: host.run("ss -Hltn 'sport = :8080'").stdout, PATIENCE, "somebody has the port")
    said = install_packages(host)
    host.sh("systemctl stop squatter.service")
    assert "port 8080 is in use" in said and host.run("nginx -t").returncode == 0
    apt(host, "purge", *NAMES)


@on_trixie_alone
def test_an_nginx_of_another_group(host):
    def is_of(group):
        assert host.sh("stat --format=%G /run/home-lab-services/*.sock").split() == [group] * 5
        assert host.http("GET", NGINX, "/api/inference/models").status == 200
        is_in_order(host)

    install_packages(host)
    host.sh("useradd --system --user-group --no-create-home web")
    host.sh("sed -i 's/^user .*/user web;/' /etc/nginx/nginx.conf && systemctl restart nginx")
    assert "apt install --reinstall" in host.run("home-lab-services check").stdout
    apt(host, "install", "--reinstall", *host.sh(f"ls {PACKAGES}/*.deb").split())
    is_of("web")
    host.sh("sed -i 's/^user .*/user www-data;/' /etc/nginx/nginx.conf && systemctl restart nginx")
    apt(host, "install", "--reinstall", *host.sh(f"ls {PACKAGES}/*.deb").split())
    is_of("www-data")
    assert host.run("find /etc/systemd/system -name '*group*'").stdout == ""
    apt(host, "purge", *NAMES)


def test_a_policy_against_starting_is_heeded(host):
    host.put("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    try:
        install_packages(host)
        assert host.ports_open() == [] and not host.is_active("home-lab-services.service")
        assert host.run("systemctl is-enabled home-lab-services.service").stdout == "enabled\n"
    finally:
        host.sh("rm /usr/sbin/policy-rc.d")
    apt(host, "purge", *NAMES)
