# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# install/nginx.sh - NGINX's site: our files are ours, the site is the user's once it is changed. A part of
# install-services.sh.

# Where an NGINX may look for sites: Debian's, others', openSUSE's, nginx.org's, Alpine's. The first that it does look at gets
# ours. In Debian's folder of enabled sites it is a link, and the file is the user's in the folder beside it.
readonly places=(/etc/nginx/sites-enabled/home-lab-services{,.conf} /etc/nginx/{vhosts.d,conf.d,http.d}/home-lab-services.conf)
readonly available=/etc/nginx/sites-available/home-lab-services
readonly port_of_nginx=$unitdir/model@.service.d/nginx-port.conf
readonly off=.disabled # at the end of its name: NGINX reads a "*.conf" no more
# Of each site that was shipped before: one that nobody has changed is replaced by today's.
readonly former_sites=(5dd55d9ef869f3d70d54d0bab143d192a0a45d533e249e3d5adad849b7a333c9
	f3bee4c9ff4f33e30b0c51523b6206881140f658c2d17d3b17fcbc20a34c4af3)

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

# No model takes NGINX's port while that is down, nor [::1] beside it. A model's PORT may be this one where the site has another.
keep_port_of_nginx() {
	local port
	port=$(site_is_enabled && site_address) || true
	port=${port##*:}
	if [[ -z $port ]] || foreign_model_unit >/dev/null; then
		rm -f "$port_of_nginx"
	else
		printf '# %s\n' 'SPDX-License-Identifier: MIT' "NGINX's, when install-services.sh ran: to run it again says what it is now." >"$rendered/${port_of_nginx##*/}"
		printf '[Service]\nSocketBindDeny=tcp:%s\n' "$port" >>"$rendered/${port_of_nginx##*/}"
		put 0644 "$rendered/${port_of_nginx##*/}" "$port_of_nginx"
	fi
	systemctl daemon-reload
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
