# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# install/files.sh - what belongs where, and how it gets there. A part of install-services.sh.

readonly bindir=$PREFIX/bin libexecdir=$PREFIX/libexec mandir=$PREFIX/share/man sharedir=$PREFIX/share/home-lab-services
readonly wwwdir=$sharedir/www
readonly unitdir=$PREFIX/lib/systemd/system generatordir=$PREFIX/lib/systemd/system-generators
readonly sysusersdir=$PREFIX/lib/sysusers.d tmpfilesdir=$PREFIX/lib/tmpfiles.d
rulesdir=/etc/polkit-1/rules.d
[[ $PREFIX != /usr ]] || rulesdir=/usr/share/polkit-1/rules.d
readonly rulesdir nginx_files=/etc/nginx/home-lab-services nginx_source=${here%/*}/nginx/home-lab-services
rendered=$(mktemp -d) # the units, the manual and where NGINX finds the page, as they are installed
readonly rendered
trap 'rm -rf "$rendered"' EXIT

render_all() {
	local page # or a unit
	env PREFIX="$PREFIX" NGINX_GROUP="$nginx_group" "$here/render" --into "$rendered"
	env PREFIX="$PREFIX" "$here/render" "$gate" >"$rendered/${gate##*/}"
	env PREFIX="$PREFIX" "$here/render" generator >"$rendered/generator"
	for page in "${confined[@]}"; do
		"$here/render" "$page.d/without-landlock.conf" >"$rendered/$page.conf"
	done
	for page in "$here"/man/*.[0-9]; do
		sed "s|/usr/local/libexec|$libexecdir|; s|/etc/polkit-1/rules.d|$rulesdir|" "$page" >"$rendered/${page##*/}"
	done
}

readonly gate=model@.service.d/gate.conf # of the unit of models, whosever that is
readonly confined=("${services[@]/%/@.service}" model-idle-sweep.service) # their processes say by themselves where they write

units() { "$here/render" --list | grep -vxF model@.service; } # prints each but that

files() { # prints mode, source, destination of each file but model@.service
	local name
	for name in "${services[@]}" "${workers[@]}" "${further_programs[@]}"; do
		echo "0755 $BUILD/$name $libexecdir/home-lab-services/$name"
	done
	echo "0755 $BUILD/home-lab-services $bindir/home-lab-services"
	echo "0644 $here/bash-completion/home-lab-services $PREFIX/share/bash-completion/completions/home-lab-services"
	for name in "$here"/man/*.[0-9]; do
		name=${name##*/}
		echo "0644 $rendered/$name $mandir/man${name##*.}/$name"
	done
	for name in $(units); do
		echo "0644 $rendered/$name $unitdir/$name"
	done
	echo "0644 $rendered/${gate##*/} $unitdir/$gate"
	echo "0755 $rendered/generator $generatordir/home-lab-services"
	for name in "${confined[@]}"; do
		echo "0644 $rendered/$name.conf $sharedir/without-landlock/$name.conf"
	done
	echo "0644 $here/sysusers.d/home-lab-services.conf $sysusersdir/home-lab-services.conf"
	echo "0644 $here/tmpfiles.d/home-lab-services.conf $tmpfilesdir/home-lab-services.conf"
	echo "0644 $here/60-home-lab-services.rules $rulesdir/60-home-lab-services.rules"
	for name in "${nginx_source%/*}"/www/*; do
		echo "0644 $name $wwwdir/${name##*/}"
	done
	for name in prometheus/home-lab-services.rules.yml grafana/home-lab-services.json; do
		echo "0644 $here/$name $sharedir/$name"
	done
	if [[ -n $DESTDIR || -d /etc/nginx ]]; then
		for name in "$nginx_source"/*.conf; do
			[[ $name != */www-file.conf ]] || name=$rendered/www-file.conf
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

changed=() # destinations whose content is new
added=()   # those that were not there at all

put() { # MODE SOURCE DESTINATION [FOLDER: where it is kept for now]
	local to=$DESTDIR$3
	local new=${4:+$4/${to##*/}}
	[[ ! $2 -ef $to ]] || return 0
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
	sed "s|/usr/local/share/home-lab-services/www|$wwwdir|" "$nginx_source/www-file.conf" >"$rendered/www-file.conf"
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
