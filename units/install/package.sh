# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# install/package.sh - what the scripts of the Debian packages do. dpkg places the files and removes them. What runs is
# changed as by an installation. A part of install-services.sh, which is in the package too.

readonly sums=/run/home-lab-services.sums # of what an upgrade replaces

# With /usr in front: to Debian 12's debhelper the units' folder is in /lib, which is the same.
package_files() { # PACKAGE
	dpkg -L "$1" | sed 's|^/lib/|/usr/lib/|'
}

if [[ ! -e $here/render ]]; then # this is the package's copy
	units() { package_files home-lab-services | sed -n 's|^/usr/lib/systemd/system/||p' | grep -v '^model@.service'; }
fi

# Where nothing runs, or a policy forbids to change what does, systemd is not asked for anything.
heed_policy() {
	local status=0
	if [[ ! -d /run/systemd/system ]]; then
		status=101
	elif [[ -x /usr/sbin/policy-rc.d ]]; then
		/usr/sbin/policy-rc.d "$coordinator" restart || status=$?
	fi
	((status != 101)) || systemctl() { :; }
}

# ---- from "make install" to the package ----

is_made() { [[ -e /usr/local/lib/systemd/system/$coordinator ]]; }

made() { # FILE: where "make install" put this file of the package
	local file=${1%.gz} # of the manual
	case $file in
	"$rulesdir"/*) echo "/etc/polkit-1/rules.d/${file##*/}" ;;
	/usr/*) echo "/usr/local/${file#/usr/}" ;;
	esac
}

# What the administrator has disabled. The package, which does not know, enables it.
package_disabled() {
	local name
	is_made || return 0
	for name in "${enable[@]}" "${enable_only[@]}"; do
		enabled "$name" || echo "$name"
	done
}

# Those files would hide the package's. systemd looks for the unit of each connection where it has seen the file, and runs what
# that names: until it has read all again a link is in a file's place, and programs are kept until what has begun is over.
former_units=() former_programs=()
take_over() {
	local file old link
	while read -r file; do
		old=$(made "$file")
		[[ ! -d $file && -n $old && $file != "$wwwdir"/* ]] || continue # NGINX reads that still
		if [[ ! -f $old ]]; then
			changed+=("$file")
			continue
		fi
		[[ $file != */model@.service ]] || ours "$old" || continue
		cmp --silent "$old" "$file" || changed+=("$file")
		case $file in
		"$bindir"/* | "$libexecdir"/*) former_programs+=("$old") ;;
		"$unitdir"/*) ln -sf "$file" "$old.new" && mv -fT "$old.new" "$old" && former_units+=("$old") ;;
		*) rm "$old" ;;
		esac
	done < <(package_files home-lab-services)
	rm -f "/usr/local/${port_of_nginx#/usr/}"
	for link in /etc/systemd/system/*.wants/*; do
		file=$(readlink "$link") || continue
		[[ $file != /usr/local/lib/systemd/system/* || ! -e $unitdir/${file##*/} ]] || ln -sfn "$unitdir/${file##*/}" "$link"
	done
	say "what \"make install\" had put into /usr/local is the package's now."
}

# ---- home-lab-services ----

package_note_files() { # before they are replaced
	local file
	for file in $(package_files home-lab-services | grep -E '/(systemd/system|libexec/home-lab-services)/'); do
		[[ ! -f $file ]] || sha256sum "$file"
	done >"$sums"
}

package_configure() { # VERSION that was configured before, or nothing; units that stay disabled
	local former=$1 name upgrade=yes # dpkg's scripts have enabled what is new
	if is_made; then
		take_over
	elif [[ -e $sums ]]; then
		mapfile -t changed < <(LC_ALL=C sha256sum --check --quiet "$sums" 2>/dev/null | sed 's/: FAILED.*//')
	fi
	rm -f "$sums"
	heed_policy
	systemctl daemon-reload
	rm -f "${former_units[@]}"
	rmdir "/usr/local/lib/systemd/system/${gate%/*}" 2>/dev/null || true
	(($# == 1)) || systemctl --quiet disable "${@:2}"
	for name in $(units); do
		! name=$(foreign_unit "$name") || say "beware: $name hides ours ($unitdir)."
	done
	(start && say_what_is_not_valid) || true # it says why; dpkg has done its part
	rm -f "${former_programs[@]}"
	rmdir /usr/local/libexec/home-lab-services 2>/dev/null || true
	[[ -n $former ]] || cat <<-END
		Home Lab Services, what to do next: write one file a model in /etc/home-lab-services/models, for example
		  printf 'PORT="8198"\nCOMMAND="llama-server --port \$PORT -m /srv/models/NAME.gguf"\n' | sudo tee /etc/home-lab-services/models/NAME
		  sudo home-lab-services check && home-lab-services start NAME && home-lab-services status
		  curl http://127.0.0.1:8080/v1/models      # with home-lab-services-nginx; "man home-lab-services" has the rest
	END
}

package_remove() {
	heed_policy
	stop
	# shellcheck disable=SC2046 # words
	systemctl reset-failed $(units | grep -v @) 'model@*.service' 2>/dev/null || true
	rm -rf /run/home-lab-services
}

# ---- home-lab-services-nginx ----

# The package's sockets are for Debian's NGINX. One of another group gets them by drop-ins.
give_sockets_to_nginx() { # GROUP
	local file drop_in changed=()
	while read -r file; do
		grep -qs '^SocketGroup=' "$file" || continue
		drop_in=/etc/systemd/system/${file##*/}.d/nginx-group.conf
		if grep -qxF "SocketGroup=$1" "$file"; then
			[[ ! -e $drop_in ]] || { rm "$drop_in" && changed+=("$file"); }
			rmdir "${drop_in%/*}" 2>/dev/null || true
		elif ! grep -qsxF "SocketGroup=$1" "$drop_in"; then
			mkdir -p "${drop_in%/*}"
			printf '[Socket]\nSocketGroup=%s\n' "$1" >"$drop_in"
			changed+=("$file")
		fi
	done < <(units | sed -n "s|.*\.socket$|$unitdir/&|p")
	((${#changed[@]} == 0)) || { systemctl daemon-reload && refresh; }
}

package_nginx_configure() {
	local upgrade=no nginx_group site place=
	[[ ! -d $nginx_files ]] || upgrade=yes # also from "make install"
	heed_policy
	nginx_group=$(group_of_nginx) || true
	give_sockets_to_nginx "${nginx_group:-www-data}"
	put_files_of_nginx
	set_up_nginx
	keep_port_of_nginx
	rm -rf /usr/local/share/home-lab-services/www
	rmdir /usr/local/share/home-lab-services 2>/dev/null || true
	say "$(where_nginx_answers)"
}

package_nginx_remove() {
	local to kept=() place=
	heed_policy
	remove_site
	while read -r _ _ to; do
		[[ $to != "$nginx_files"/* ]] || rm -f "$to"
	done < <(files)
	find "$nginx_files" -depth -type d -empty -delete 2>/dev/null || true
	give_sockets_to_nginx www-data
	keep_port_of_nginx # none
	! systemctl --quiet is-active nginx.service || systemctl reload nginx.service || say "NGINX could not be reloaded: nginx -t says why"
	((${#kept[@]} == 0)) || say "${kept[*]} has been changed, and stays."
}
