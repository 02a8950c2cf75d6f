# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# install/checks.sh - what must be so before anything is changed; a check that fails ends the installation. A part of
# install-services.sh.

check_sources() {
	local source missing=()
	[[ $PREFIX =~ ^/[A-Za-z0-9/._+-]*[A-Za-z0-9]$ ]] || die "PREFIX is a full path of plain characters, not \"$PREFIX\""
	while read -r _ source _; do
		[[ -f $source || $source == "$rendered"/* ]] || missing+=("${source##*/}")
	done < <(files)
	((${#missing[@]} == 0)) || die "${missing[*]}: not in $BUILD. Run \"make\" first, or say with BUILD= where they are."
}

check_host() {
	local libraries version
	((EUID == 0)) || die "only root can install services: sudo $0"
	[[ -d /run/systemd/system ]] || die "this host was not booted with systemd. DESTDIR= only puts the files somewhere."
	[[ ! -e /usr/share/home-lab-services/units || $PREFIX == /usr ]] ||
		die "the package home-lab-services is installed, whose files these would hide: apt-get remove home-lab-services"
	version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	((${version:-0} >= 252)) ||
		die "systemd 252 or later is needed, and this is ${version:-another}: Debian 12, Ubuntu 24.04, or later, have it"
	systemd-analyze unit-paths | grep -qxF "$unitdir" ||
		die "systemd does not look for units in $unitdir: PREFIX is /usr or /usr/local"
	[[ -e /usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service ]] ||
		die "polkit is missing, which lets the services start models and shut down: apt-get install polkitd"
	version=$(pkaction --version 2>/dev/null || true)
	[[ ! $version =~ \ 0\.(9[0-9]|10[0-5])$ ]] ||
		die "polkit 0.106 or later is needed, which reads rules (${rulesdir}), and this is ${version##* }"
	libraries=$(files | while read -r _ source _; do [[ $source != "$BUILD"/* ]] || ldd "$source"; done 2>/dev/null |
		sed -n 's/^[[:space:]]*\(.*\) => not found$/\1/p' | sort -u | paste -sd ' ')
	[[ -z $libraries ]] || die "the programs need libraries that this host does not have: $libraries"
}

check_ports() {
	local name line users taken=()
	for name in "${services[@]}"; do
		! systemctl --quiet is-active "$name.socket" || continue
		[[ $upgrade == no ]] || enabled "$name.service" || continue
		while read -r _ _ _ line _ users; do
			case $line in
			"127.0.0.1:"* | "[::1]:"* | "0.0.0.0:"* | "*:"* | "[::]:"*) taken+=("port ${port_of[$name]}: $line ${users:-by an unknown program}") ;;
			esac
		done < <(ss -Hltnp "sport = :${port_of[$name]}")
	done
	((${#taken[@]} == 0)) || die "something else has a port that Home Lab Services need.
$(printf '  %s\n' "${taken[@]}")"
}
