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

readonly bindir=$PREFIX/bin libexecdir=$PREFIX/libexec
readonly unitdir=$PREFIX/lib/systemd/system sysusersdir=$PREFIX/lib/sysusers.d tmpfilesdir=$PREFIX/lib/tmpfiles.d
rulesdir=/etc/polkit-1/rules.d
[[ $PREFIX != /usr ]] || rulesdir=/usr/share/polkit-1/rules.d
readonly rulesdir
rendered=$(mktemp -d) # the units, as they are installed
readonly rendered
trap 'rm -rf "$rendered"' EXIT

readonly coordinator=home-lab-services.service
# shellcheck source=services.sh
. "$here/services.sh" # the services that have ports
readonly workers=(model-router model-activity) # each a .service and its .socket
readonly further_programs=(model-idle-sweep model-command nginx-config-updater)
# What people enable. The rest is brought up by these.
readonly enable=("${services[@]/%/.service}" model-idle-sweep.timer "$coordinator")
readonly enable_only=(model-idle-sweep-before-sleep.service) # something of systemd's own starts it

# Where an NGINX may look for sites: Debian's, others', openSUSE's, nginx.org's, Alpine's. The first that it does look at gets
# ours. In Debian's folder of enabled sites it is a link, and the file is the user's in the folder beside it.
readonly places=(/etc/nginx/sites-enabled/home-lab-services{,.conf} /etc/nginx/{vhosts.d,conf.d,http.d}/home-lab-services.conf)
readonly available=/etc/nginx/sites-available/home-lab-services
readonly nginx_files=/etc/nginx/home-lab-services
readonly off=.disabled # at the end of its name: NGINX reads a "*.conf" no more
# Of each site that was shipped before: one that nobody has changed is replaced by today's.
readonly former_sites=(5dd55d9ef869f3d70d54d0bab143d192a0a45d533e249e3d5adad849b7a333c9
	f3bee4c9ff4f33e30b0c51523b6206881140f658c2d17d3b17fcbc20a34c4af3)

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

units() { "$here/render" --list | grep -vxF model@.service; } # prints each but that

files() { # prints mode, source, destination of each file but model@.service
	local name
	for name in "${services[@]}" "${workers[@]}" "${further_programs[@]}"; do
		echo "0755 $BUILD/$name $libexecdir/home-lab-services/$name"
	done
	echo "0755 $BUILD/home-lab-services $bindir/home-lab-services"
	echo "0644 $here/bash-completion/home-lab-services $PREFIX/share/bash-completion/completions/home-lab-services"
	for name in $(units); do
		echo "0644 $rendered/$name $unitdir/$name"
	done
	echo "0644 $here/sysusers.d/home-lab-services.conf $sysusersdir/home-lab-services.conf"
	echo "0644 $here/tmpfiles.d/home-lab-services.conf $tmpfilesdir/home-lab-services.conf"
	echo "0644 $here/60-home-lab-services.rules $rulesdir/60-home-lab-services.rules"
	if [[ -n $DESTDIR || -d /etc/nginx ]]; then
		for name in "${here%/*}"/nginx/home-lab-services/*.conf; do
			echo "0644 $name $nginx_files/${name##*/}"
		done
	fi
}

# What NGINX reads, and who writes the rest of that and reloads it: it says more than a former model-router understands.
of_nginx() { [[ $1 == "$nginx_files"/* || $1 == */nginx-config-updater ]]; } # DESTINATION

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
added=()   # those that were not there at all

put() { # MODE SOURCE DESTINATION [FOLDER: where it is kept for now]
	local to=$DESTDIR$3
	local new=${4:+$4/${to##*/}}
	new=${new:-$to.new}
	mkdir -p "${to%/*}" "${new%/*}"
	[[ -e $to ]] || added+=("$3")
	cp "$2" "$new"
	chmod "$1" "$new"
	cmp --silent "$new" "$to" || changed+=("$3")
	[[ -n ${4-} ]] || mv -fT "$new" "$to"
}

# NGINX's files fit each other, and it may read them at any time: they change in one moment. The updater is the last.
put_files_of_nginx() {
	local mode source to updater=() kept=$DESTDIR$nginx_files/new
	while read -r mode source to; do
		if [[ $to == "$nginx_files"/* ]]; then
			put "$mode" "$source" "$to" "$kept"
		elif of_nginx "$to"; then
			updater=("$mode" "$source" "$to")
		fi
	done < <(files)
	if [[ -d $kept ]]; then
		mv -f -t "${kept%/*}" "$kept"/*.conf
		rmdir "$kept"
	fi
	put "${updater[@]}"
}

is_changed() { # DESTINATION…: one of them at least
	local name
	for name; do
		[[ " ${changed[*]-} " != *" $name "* ]] || return 0
	done
	return 1
}

enabled() { systemctl --quiet is-enabled "$1" 2>/dev/null; }

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
			"127.0.0.1:"* | "0.0.0.0:"* | "*:"* | "[::]:"*) taken+=("port ${port_of[$name]}: $line ${users:-by an unknown program}") ;;
			esac
		done < <(ss -Hltnp "sport = :${port_of[$name]}")
	done
	((${#taken[@]} == 0)) || die "something else has a port that Home Lab Services need.
$(printf '  %s\n' "${taken[@]}")"
}

# What runs takes up what is new. A socket is closed for that only where it has changed itself; a new unit restarts the
# worker, which hands over who waits there, and a new program alone lets it finish and end: the next request starts the new
# one. What fails here fails again when all is started, and is told then.
refresh() {
	local name
	for name in "${services[@]}" "${workers[@]}"; do
		if is_changed "$unitdir/$name.socket" "$unitdir/$name-fastcgi.socket"; then
			systemctl try-restart "$name.socket" || true
		elif is_changed "$unitdir/$name.service"; then
			systemctl try-restart "$name.service" || true
		elif is_changed "$libexecdir/home-lab-services/$name"; then
			systemctl kill "$name.service" 2>/dev/null || true # it may not run
		fi
	done
	for name in $(units); do
		case $name in
		*.timer | *.path) ! is_changed "$unitdir/$name" || systemctl try-restart "$name" || true ;;
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

# ---- NGINX: our files are ours, the site is the user's once it is changed ----

nginx_words() { # what NGINX reads, or its main file alone where that is not valid; without comments
	{ nginx -T 2>/dev/null || cat /etc/nginx/nginx.conf 2>/dev/null || true; } | sed 's/#.*//'
}

# The group by which NGINX's workers may open our sockets: that of `user`, or that which it was built with.
group_of_nginx() {
	local user group built
	read -r user group < <(nginx_words | sed -n 's/^[[:space:]]*user[[:space:]]\+\([^;]*\);.*/\1/p' | head -n 1 | tr -d "\"'") || true
	built=$(nginx -V 2>&1 | tr -s " '" '\n') || true
	if [[ -z $user ]]; then
		user=$(sed -n 's/^--user=//p' <<<"$built") group=$(sed -n 's/^--group=//p' <<<"$built")
		user=${user:-nobody}
	fi
	if [[ -n $group ]] || group=$(id -gn "$user" 2>/dev/null); then
		getent group "$group" | cut -d: -f1
	fi
}

# The first of `places` that an include of NGINX's matches.
nginx_place() {
	local place pattern patterns
	mapfile -t patterns < <(nginx_words | grep -o '\<include[[:space:]]\+[^;]\+' | sed 's/^include[[:space:]]*//; s/["'\'']//g')
	for place in "${places[@]}"; do
		for pattern in "${patterns[@]}"; do
			[[ $pattern == /* ]] || pattern=/etc/nginx/$pattern
			# shellcheck disable=SC2053 # a pattern it is
			[[ ${pattern%/*} != "${place%/*}" || $place != $pattern ]] || { echo "$place" && return 0; }
		done
	done
	return 1
}

shipped() { # FILE: nobody has changed it
	local sum
	sum=$(sha256sum "$1" 2>/dev/null | cut -d' ' -f1)
	cmp --silent "${here%/*}/nginx/home-lab-services.conf" "$1" || [[ " ${former_sites[*]} " == *" $sum "* ]]
}

# Where the site file is, and where NGINX reads it; the same but in Debian's folders. One that is where this NGINX does not
# look is moved: another package of NGINX has other folders.
find_site() {
	local old
	place=$(nginx_place) || place=
	site=${place:-/etc/nginx/conf.d/home-lab-services.conf}
	[[ $site != /etc/nginx/sites-enabled/* || (-f $site && ! -L $site) ]] || site=$available
	[[ ! -e $site && ! -e $site$off ]] || return 0
	for old in "$available" "${places[@]}"; do
		if [[ -f $old && ! -L $old && ! -e $site ]]; then
			mkdir -p "${site%/*}"
			mv "$old" "$site"
			[[ -z $place || $place == "$site" ]] || ln -sf "$site" "$place"
			changed+=("$site")
			say "NGINX reads its sites in ${site%/*} now: what was $old is $site."
		fi
	done
	for old in "${places[@]}"; do # links that lead nowhere now
		[[ ! -L $old || -e $old ]] || rm -f "$old"
	done
}

put_site() { put 0644 "${here%/*}/nginx/home-lab-services.conf" "$1"; }

site_address() { # ADDRESS:PORT, or the port alone
	sed -n 's/^[[:space:]]*listen[[:space:]]\+\(\([^;[:space:]]*:\)\?[0-9]\+\).*/\1/p' "$site" | head -n 1
}

how_to_enable() {
	if [[ -z $place ]]; then
		echo "add \"include ${site%/*}/*.conf;\" to http { } in /etc/nginx/nginx.conf, and then: systemctl reload-or-restart nginx"
	elif [[ $place == "$site" ]]; then
		echo "mv $site$off $site && systemctl reload-or-restart nginx"
	else
		echo "ln -s $site $place && systemctl reload-or-restart nginx"
	fi
}

site_is_enabled() { [[ -n $place && -e $place ]]; }

disable_site() {
	if [[ $place == "$site" ]]; then
		mv -f "$site" "$site$off"
	else
		rm -f "$place"
	fi
}

enable_site() { # unless somebody else has its port
	local port
	port=$(site_address)
	port=${port##*:}
	if [[ -n $port && -n $(ss -Hltn "sport = :$port") ]]; then
		[[ $place != "$site" ]] || disable_site
		say "port $port is in use, so NGINX's site is not enabled. Give it another one in $(ls -d "$site" "$site$off" 2>/dev/null)," \
			"and then: $(how_to_enable)"
		return 1
	fi
	[[ -n $place ]] || return 1
	[[ $place == "$site" ]] || { mkdir -p "${place%/*}" && ln -s "../sites-available/${site##*/}" "$place"; }
}

# What a site needs that was changed before we shipped it.
say_what_the_site_lacks() {
	grep -q '^[^#]*\<client_max_body_size\>' "$site" ||
		say "$site is yours, and stays as it is. Without \"client_max_body_size 64m;\" in its server { } NGINX takes no body" \
			"over 1 MB: add that line, and then: systemctl reload nginx"
}

set_up_nginx() {
	local out enabled_now=no
	[[ -d /etc/nginx ]] || return 0
	find_site
	[[ $upgrade == yes || -e $site || ! -e $site$off ]] || mv "$site$off" "$site" # an uninstallation left it
	if [[ ! -e $site && ! -e $site$off ]] || shipped "$site"; then
		put_site "$site"
	elif [[ -e $site ]]; then
		say_what_the_site_lacks
	fi
	if [[ -e $site && ! -L $place && ($upgrade == no || " ${added[*]-} " == *" $site "*) ]] && enable_site; then
		enabled_now=yes
	fi
	if ! out=$(nginx -t 2>&1); then
		echo "$out" >&2
		[[ $enabled_now == no ]] || disable_site
		say "NGINX's configuration is not valid (see above), so NGINX stays as it is, without what is new here."
	elif [[ $enabled_now == yes || "${changed[*]-}" == */etc/nginx/* ]]; then
		reload_nginx
	fi
	systemctl start nginx-config-updater.service 2>/dev/null ||
		say "NGINX has no new locations of models: systemctl status nginx-config-updater"
}

reload_nginx() {
	if systemctl --quiet is-active nginx.service; then
		systemctl reload nginx.service || say "NGINX could not be reloaded: systemctl status nginx"
	elif enabled nginx.service; then
		systemctl start nginx.service || say "NGINX could not be started: systemctl status nginx"
	fi
}

where_nginx_answers() {
	local address
	if [[ ! -d /etc/nginx ]]; then
		echo 'no NGINX is installed, so models have no address of their own: apt-get install nginx-light, then make install again'
	elif ! site_is_enabled; then
		echo "NGINX's site is not enabled: $(how_to_enable)"
	elif ! systemctl --quiet is-active nginx.service; then
		echo "NGINX is installed, with the site $site, but does not run: systemctl enable --now nginx"
	else
		address=$(site_address)
		[[ $address == *:* ]] || address="port $address"
		echo "NGINX $address: /v1 for OpenAI clients, /NAME/ for each model; its site is $site, our sockets are group $nginx_group's"
	fi
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
	env PREFIX="$PREFIX" NGINX_GROUP="$nginx_group" "$here/render" --into "$rendered"

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

# ---- uninstall ----

# As it was installed, the site is ours. What the user has made of it stays, where NGINX does not read it: what it includes is
# gone.
remove_site() {
	local place file to
	for place in "${places[@]}" "$available"; do
		for file in "$DESTDIR$place" "$DESTDIR$place$off"; do
			if [[ -L $file ]]; then
				rm "$file"
			elif [[ ! -e $file ]]; then
				continue
			elif shipped "$file"; then
				rm "$file"
			elif [[ $file == "$DESTDIR$available" || $file == *"$off" ]]; then
				kept+=("$file")
			else
				to=$file$off
				[[ $place != /etc/nginx/sites-enabled/* ]] || to=$DESTDIR$available$off # all in that folder is read
				mv -f "$file" "$to"
				kept+=("$to")
				break # it would be found again
			fi
		done
	done
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
		# The coordinator before what depends on it; connections last.
		for name in "${all[@]}" "${services[@]/%/@*.service}"; do
			systemctl --quiet stop "$name" 2>/dev/null || true
		done
		((${#model[@]} == 0)) || systemctl --quiet stop 'model@*.service'
	fi
	while read -r _ _ to; do
		rm -f "$DESTDIR$to" "$DESTDIR$to.new"
	done < <(files && ((${#model[@]} == 0)) || echo "- - ${model[*]}")
	remove_site
	rm -rf "$DESTDIR"/run/home-lab-services/{model-idle-sweep,ready} "$DESTDIR$nginx_files/new"
	rmdir "$DESTDIR$libexecdir/home-lab-services" "$DESTDIR/etc/systemd/system/home-lab-services.target.wants" \
		"$DESTDIR/run/home-lab-services" "$DESTDIR$nginx_files" 2>/dev/null || true
	[[ -z $DESTDIR ]] || return 0
	if [[ -d /run/systemd/system ]]; then
		systemctl daemon-reload
		systemctl reset-failed "${all[@]}" 'model@*.service' 2>/dev/null || true
		! systemctl --quiet is-active nginx.service || systemctl reload nginx.service ||
			say "NGINX could not be reloaded: nginx -t says why"
	fi
	say "Home Lab Services are removed. Left as they are: /etc/home-lab-services, your drop-ins in /etc/systemd/system," \
		"/var/lib/home-lab-services," \
		"/var/lib/home-lab-models and the users home-lab-services, home-lab-nginx and home-lab-models."
	((${#kept[@]} == 0)) || say "${kept[*]} has been changed, and stays."
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
