#!/bin/bash
# units/install-services.sh - installs Home Lab Services on this host, or takes it off again.
#
# Everything that can be found wrong is found before anything is changed. To run it again is to repair or to upgrade:
# files are replaced at once, never written into, so requests that are being served end as they began.
set -euo pipefail
umask 022

PREFIX=${PREFIX:-/usr/local}
PREFIX=${PREFIX%/}
DESTDIR=${DESTDIR:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
BUILD=${BUILD:-${here%/*}/build}
readonly PREFIX DESTDIR BUILD here

readonly bindir=$PREFIX/bin libexecdir=$PREFIX/libexec
readonly unitdir=$PREFIX/lib/systemd/system sysusersdir=$PREFIX/lib/sysusers.d tmpfilesdir=$PREFIX/lib/tmpfiles.d
rulesdir=/etc/polkit-1/rules.d
[[ $PREFIX != /usr ]] || rulesdir=/usr/share/polkit-1/rules.d
readonly rulesdir

readonly coordinator=home-lab-services.service
readonly services=(shutdown-service inference-service model-monitor-service) # each .service, @.service and .socket

usage() {
	cat <<-END
		Usage: install-services.sh [install | uninstall]      (as root)

		  install     installs, enables and starts Home Lab Services; again: repairs or upgrades it
		  uninstall   stops it and removes what install brought; keeps its configuration, state and users

		Environment: PREFIX ($PREFIX), BUILD (the programs as built: $BUILD),
		DESTDIR (only puts the files below it, for a package; no users, nothing is started).
	END
}

say() { echo "install-services.sh: $*"; }
die() {
	say "$*" >&2
	exit 1
}

# ---- what belongs where ----

files() { # prints mode, source, destination of each file but model@.service
	local name
	for name in "${services[@]}"; do
		echo "0755 $BUILD/$name $libexecdir/home-lab-services/$name"
	done
	echo "0755 $BUILD/home-lab-services $bindir/home-lab-services"
	for name in "${services[@]}"; do
		echo "0644 $here/$name@.service $unitdir/$name@.service"
		echo "0644 $here/$name.socket $unitdir/$name.socket"
		echo "0644 $here/$name.service $unitdir/$name.service"
	done
	echo "0644 $here/$coordinator $unitdir/$coordinator"
	echo "0644 $here/home-lab-services.target $unitdir/home-lab-services.target"
	echo "0644 $here/model-gpu.service $unitdir/model-gpu.service"
	echo "0644 $here/sysusers.d/home-lab-services.conf $sysusersdir/home-lab-services.conf"
	echo "0644 $here/tmpfiles.d/home-lab-services.conf $tmpfilesdir/home-lab-services.conf"
	echo "0644 $here/60-home-lab-services.rules $rulesdir/60-home-lab-services.rules"
}

ours() { # FILE: it is the model@.service that we installed
	[[ -f $1 ]] && grep -qs '^# home-lab-services installs this file' "$1"
}

# The first unit file NAME that systemd would find, other than ours.
foreign_unit() { # NAME
	local dir
	while read -r dir; do
		if [[ $(readlink -f "$dir") != "$(readlink -f "$unitdir")" && (-e $dir/$1 || -L $dir/$1) ]]; then
			echo "$dir/$1"
			return 0
		fi
	done < <([[ -n $DESTDIR ]] || systemd-analyze unit-paths)
	return 1
}

foreign_model_unit() {
	local file=$DESTDIR$unitdir/model@.service
	if [[ -e $file || -L $file ]] && ! ours "$file"; then
		echo "$file"
	else
		foreign_unit model@.service
	fi
}

# ---- install ----

changed=() # destinations whose content is new

put() { # MODE SOURCE DESTINATION
	local to=$DESTDIR$3
	mkdir -p "${to%/*}"
	case $2 in
	*.service) sed "s|@libexecdir@|$libexecdir|g; s|@bindir@|$bindir|g" "$2" >"$to.new" ;;
	*) cp "$2" "$to.new" ;;
	esac
	chmod "$1" "$to.new"
	cmp --silent "$to.new" "$to" || changed+=("$3")
	mv -fT "$to.new" "$to"
}

enabled() { systemctl --quiet is-enabled "$1" 2>/dev/null; }

check_sources() {
	local source missing=()
	[[ $PREFIX =~ ^/[A-Za-z0-9/._+-]*[A-Za-z0-9]$ ]] || die "PREFIX is a full path of plain characters, not \"$PREFIX\""
	while read -r _ source _; do
		[[ -f $source ]] || missing+=("${source##*/}")
	done < <(files)
	((${#missing[@]} == 0)) || die "${missing[*]}: not in $BUILD. Run \"make\" first, or say with BUILD= where they are."
}

check_host() {
	local libraries
	((EUID == 0)) || die "only root can install services: sudo $0"
	[[ -d /run/systemd/system ]] || die "this host was not booted with systemd. DESTDIR= only puts the files somewhere."
	systemd-analyze unit-paths | grep -qxF "$unitdir" ||
		die "systemd does not look for units in $unitdir: PREFIX is /usr or /usr/local"
	[[ -e /usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service ]] ||
		die "polkit is missing, which lets the services start models and shut down: apt-get install polkitd"
	libraries=$(files | while read -r _ source _; do [[ $source != "$BUILD"/* ]] || ldd "$source"; done 2>/dev/null |
		sed -n 's/^[[:space:]]*\(.*\) => not found$/\1/p' | sort -u | paste -sd ' ')
	[[ -z $libraries ]] || die "the programs need libraries that this host does not have: $libraries"
}

check_ports() {
	local name port line users taken=()
	for name in "${services[@]}"; do
		! systemctl --quiet is-active "$name.socket" || continue
		[[ $upgrade == no ]] || enabled "$name.service" || continue
		port=$(sed -n 's/^ListenStream=127.0.0.1://p' "$here/$name.socket")
		while read -r _ _ _ line _ users; do
			case $line in
			"127.0.0.1:"* | "0.0.0.0:"* | "*:"* | "[::]:"*) taken+=("port $port: $line ${users:-by an unknown program}") ;;
			esac
		done < <(ss -Hltnp "sport = :$port")
	done
	((${#taken[@]} == 0)) || die "something else has a port that Home Lab Services need.
$(printf '  %s\n' "${taken[@]}")"
}

start() {
	local name up=()
	if [[ $upgrade == no ]]; then
		systemctl --quiet enable "${services[@]/%/.service}" "$coordinator"
	fi
	for name in "${services[@]}"; do
		! enabled "$name.service" || up+=("$name.service")
		# A new port is the only thing that running services do not take up by themselves.
		[[ " ${changed[*]-} " != *" $unitdir/$name.socket "* ]] || systemctl try-restart "$name.service"
	done
	if ! systemctl start "$coordinator" "${up[@]}" 2>/dev/null; then
		journalctl --quiet --no-pager --output=cat --lines=20 --identifier=home-lab-services \
			"_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value "$coordinator")" >&2 || true
		die "everything is installed, but not everything runs: systemctl status $coordinator ${up[*]}
Put right what it says; the check is repeated every 10 seconds."
	fi
}

install_all() {
	local mode source to other name upgrade=no
	check_sources
	if [[ -z $DESTDIR ]]; then
		check_host
		! enabled "$coordinator" || upgrade=yes
		check_ports
	fi

	while read -r mode source to; do
		put "$mode" "$source" "$to"
	done < <(files)
	if other=$(foreign_model_unit); then
		say "$other is yours and runs the models; ours is not installed."
	else
		put 0644 "$here/model@.service" "$unitdir/model@.service"
	fi
	[[ -z $DESTDIR ]] || return 0

	systemd-sysusers "$sysusersdir/home-lab-services.conf"
	systemd-tmpfiles --create "$tmpfilesdir/home-lab-services.conf"
	systemctl daemon-reload
	for name in "$coordinator" "${services[@]/%/.service}" "${services[@]/%/.socket}" "${services[@]/%/@.service}"; do
		! other=$(foreign_unit "$name") || say "beware: $other hides ours or is hidden by it ($unitdir)."
	done
	start
	cat <<-END
		Home Lab Services are installed and running:
		  shutdown 127.0.0.1:5001, inference 127.0.0.1:5002, model monitor 127.0.0.1:5003 (curl http://127.0.0.1:5001/)
		  programs in $libexecdir/home-lab-services and $bindir, units in $unitdir
		Next: one file a model in /etc/home-lab-services/models, for example "tiny-llama" with the lines
		  PORT="8198"
		  COMMAND="llama-server --port 8198 -m /srv/models/tiny-llama.gguf"
	END
}

# ---- uninstall ----

uninstall_all() {
	local name to model=()
	local all=("$coordinator" "${services[@]/%/.service}" "${services[@]/%/.socket}" home-lab-services.target)
	[[ -n $DESTDIR ]] || ((EUID == 0)) || die "only root can remove services: sudo $0 uninstall"
	! ours "$DESTDIR$unitdir/model@.service" || model=("$unitdir/model@.service")

	if [[ -z $DESTDIR && -d /run/systemd/system ]]; then
		for name in "$coordinator" "${services[@]/%/.service}"; do # one by one: some may be missing
			systemctl --quiet disable "$name" 2>/dev/null || true
			rm -f /etc/systemd/system/{multi-user,home-lab-services}.target.wants/"$name"
		done
		# The coordinator before what depends on it; connections last.
		for name in "${all[@]}" "${services[@]/%/@*.service}"; do
			systemctl --quiet stop "$name" 2>/dev/null || true
		done
		((${#model[@]} == 0)) || systemctl --quiet stop 'model@*.service'
	fi
	while read -r _ _ to; do
		rm -f "$DESTDIR$to" "$DESTDIR$to.new"
	done < <(files && ((${#model[@]} == 0)) || echo "- - ${model[*]}")
	rmdir "$DESTDIR$libexecdir/home-lab-services" "$DESTDIR/etc/systemd/system/home-lab-services.target.wants" \
		"$DESTDIR/run/home-lab-services" 2>/dev/null || true
	[[ -z $DESTDIR ]] || return 0
	if [[ -d /run/systemd/system ]]; then
		systemctl daemon-reload
		systemctl reset-failed "${all[@]}" 'model@*.service' 2>/dev/null || true
	fi
	say "Home Lab Services are removed. Left as they are: /etc/home-lab-services, your drop-ins in /etc/systemd/system," \
		"/var/lib/home-lab-services," \
		"/var/lib/home-lab-models and the users home-lab-services and home-lab-models."
}

case ${1-install} in
install) install_all ;;
uninstall) uninstall_all ;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
