#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck source-path=SCRIPTDIR
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

readonly coordinator=home-lab-services.service
# shellcheck source=services.sh
. "$here/services.sh" # the services that have ports
readonly workers=(model-router model-activity) # each a .service and its .socket
readonly further_programs=(model-idle-sweep model-command model-gate model-measure nginx-config-updater)
# What people enable. The rest is brought up by these.
readonly enable=("${services[@]/%/.service}" model-idle-sweep.timer "$coordinator")
readonly enable_only=(model-idle-sweep-before-sleep.service) # something of systemd's own starts it

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
enabled() { systemctl --quiet is-enabled "$1" 2>/dev/null; }

# shellcheck source=install/files.sh
. "$here/install/files.sh" # what belongs where, and how it gets there
# shellcheck source=install/checks.sh
. "$here/install/checks.sh" # what must be so before anything is changed
# shellcheck source=install/nginx.sh
. "$here/install/nginx.sh" # the site of NGINX
# shellcheck source=install/package.sh
. "$here/install/package.sh" # what the scripts of the Debian packages do

# What runs takes up what is new. A socket is closed for that only where it has changed itself; a new unit restarts the
# worker, which hands over who waits there, and a new program alone lets it finish and end: the next request starts the new
# one. What fails here fails again when all is started, and is told then.
refresh() {
	local name
	for name in "${services[@]}"; do # of each connection systemd has left a page of memory, of a directive that our units had
		find /run/systemd/units -name "log-extra-fields:$name@*" -delete 2>/dev/null || true
	done
	for name in "${services[@]}" "${workers[@]}"; do
		if is_changed "$unitdir/$name.socket" "$unitdir/$name-fastcgi.socket"; then
			systemctl try-restart "$name.socket" || true
		elif is_changed "$unitdir/$name.service"; then
			systemctl try-restart "$name.service" || true
		elif is_changed "$libexecdir/home-lab-services/$name"; then
			systemctl kill "$name.service" 2>/dev/null || true # it may not run
		fi
	done
	for name in "${services[@]/%/-lan@}"; do # those that are up
		if is_changed "$unitdir/$name.socket"; then
			systemctl try-restart "$name*.socket" || true
		elif is_changed "$unitdir/$name.service"; then
			systemctl try-restart "$name*.service" || true
		elif is_changed "$libexecdir/home-lab-services/${name%-lan@}"; then
			systemctl kill --kill-whom=main "$name*.service" 2>/dev/null || true
		fi
	done
	for name in $(units); do
		case $name in
		*.timer | *.path | model-idle-sweep-host.socket) ! is_changed "$unitdir/$name" || systemctl try-restart "$name" || true ;;
		esac
	done
}

start() {
	local name up=()
	for name in "${enable[@]}" "${enable_only[@]}"; do
		if [[ $upgrade == no || " ${added[*]-} " == *" $unitdir/$name "* ]]; then
			systemctl --quiet enable "$name"
		fi
	done
	for name in "${enable[@]}"; do
		! enabled "$name" || up+=("$name")
	done
	refresh
	# The target by name, because it is up already where this is an upgrade: it may want more than before.
	if ! systemctl start "$coordinator" home-lab-services.target "${up[@]}" 2>/dev/null; then
		journalctl --quiet --no-pager --output=cat --lines=20 --identifier=home-lab-services \
			"_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value "$coordinator")" >&2 || true
		die "everything is installed, but not everything runs: systemctl status $coordinator ${up[*]}
Put right what it says; the check is repeated every 10 seconds."
	fi
}

# What runs already goes on with it, and answers 500.
say_what_is_not_valid() {
	local status=0
	"$bindir/home-lab-services" check >/dev/null 2>&1 || status=$?
	((status != 78)) || say "beware: what is configured is not valid: sudo home-lab-services check"
}

install_all() {
	local mode source to other name upgrade=no nginx_group=www-data site place=
	check_sources
	if [[ -z $DESTDIR ]]; then
		check_host
		! enabled "$coordinator" || upgrade=yes
		check_ports
		# Before there is an NGINX, of that which is likely to come.
		[[ ! -d /etc/nginx ]] || nginx_group=$(group_of_nginx) || true
		[[ -d /etc/nginx && -n $nginx_group ]] || nginx_group=$(getent group www-data nginx http | head -n 1 | cut -d: -f1) || true
		nginx_group=${nginx_group:-root}
	fi
	render_all

	while read -r mode source to; do
		of_nginx "$to" || put "$mode" "$source" "$to"
	done < <(files)
	[[ $upgrade == yes ]] || put_files_of_nginx
	if other=$(foreign_model_unit); then
		say "$other is yours and runs the models; ours is not installed."
	else
		put 0644 "$rendered/model@.service" "$unitdir/model@.service"
	fi
	if [[ -n $DESTDIR ]]; then
		put_site "$available"
		return 0
	fi

	systemd-sysusers "$sysusersdir/home-lab-services.conf"
	systemd-tmpfiles --create "$tmpfilesdir/home-lab-services.conf"
	systemctl daemon-reload
	for name in $(units); do
		! other=$(foreign_unit "$name") || say "beware: $other hides ours or is hidden by it ($unitdir)."
	done
	start
	[[ $upgrade == no ]] || put_files_of_nginx
	set_up_nginx
	keep_port_of_nginx
	say_what_is_not_valid
	cat <<-END
		Home Lab Services are installed and running:
		  shutdown 127.0.0.1:5001, inference 127.0.0.1:5002, model monitor 127.0.0.1:5003 (curl http://127.0.0.1:5001/)
		  $(where_nginx_answers)
		  programs in $libexecdir/home-lab-services and $bindir, units in $unitdir
		Next: one file a model in /etc/home-lab-services/models, for example "tiny-llama" with the lines
		  PORT="8198"
		  COMMAND="llama-server --port \$PORT -m /srv/models/tiny-llama.gguf"
	END
}

# The coordinator before what depends on it; connections last. Models where their unit is ours.
stop() {
	local name
	for name in $(units | grep -v @) "${services[@]/%/@*.service}" 'model-measure@*.service'; do
		systemctl --quiet stop "$name" 2>/dev/null || true
	done
	! ours "$unitdir/model@.service" || systemctl --quiet stop 'model@*.service'
}

uninstall_all() {
	local name to all model=() kept=()
	mapfile -t all < <(units | grep -v @)
	[[ -n $DESTDIR ]] || ((EUID == 0)) || die "only root can remove services: sudo $0 uninstall"
	! ours "$DESTDIR$unitdir/model@.service" || model=("$unitdir/model@.service")

	if [[ -z $DESTDIR && -d /run/systemd/system ]]; then
		for name in "${enable[@]}" "${enable_only[@]}"; do # one by one: some may be missing
			systemctl --quiet disable "$name" 2>/dev/null || true
			rm -f /etc/systemd/system/{multi-user,home-lab-services,sleep}.target.wants/"$name"
		done
		stop
	fi
	while read -r _ _ to; do
		rm -f "$DESTDIR$to" "$DESTDIR$to.new"
	done < <(files && ((${#model[@]} == 0)) || echo "- - ${model[*]}")
	remove_site
	rm -f "$DESTDIR$port_of_nginx"
	rm -rf "$DESTDIR"/run/home-lab-services/{evicted,gate,held,keep,limits,model-idle-sweep,model-idle-sweep-host,nginx,queue,ready,stopped,turnstile} \
		"$DESTDIR$nginx_files/new"
	rmdir "$DESTDIR$unitdir/${gate%/*}" 2>/dev/null || true
	rmdir "$DESTDIR$libexecdir/home-lab-services" "$DESTDIR$sharedir"/{www,prometheus,grafana,without-landlock,} \
		"$DESTDIR/etc/systemd/system/home-lab-services.target.wants" "$DESTDIR/run/home-lab-services" "$DESTDIR$nginx_files" 2>/dev/null || true
	[[ -z $DESTDIR ]] || return 0
	if [[ -d /run/systemd/system ]]; then
		systemctl daemon-reload
		systemctl reset-failed "${all[@]}" 'model@*.service' 2>/dev/null || true
		! systemctl --quiet is-active nginx.service || systemctl reload nginx.service ||
			say "NGINX could not be reloaded: nginx -t says why"
	fi
	say "Home Lab Services are removed. Left as they are: /etc/home-lab-services, your drop-ins in /etc/systemd/system," \
		"/var/lib/home-lab-services," \
		"/var/lib/home-lab-models and the users home-lab-services, home-lab-power, home-lab-nginx and home-lab-models."
	((${#kept[@]} == 0)) || say "${kept[*]} has been changed, and stays."
}

case ${1-install} in
install) install_all ;;
uninstall) uninstall_all ;;
package-*) call=${1//-/_} && "$call" "${@:2}" ;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
