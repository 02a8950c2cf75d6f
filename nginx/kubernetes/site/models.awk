# SPDX-License-Identifier: MIT
# models.awk - whether what nginx-config-updater has published is what it publishes, line by line. NGINX would do whatever
# else stood there: whoever may change the ConfigMap could have it show the token, or send that to a host of his.
#
#     awk -v services='192.168.1.10:5002 [fd00::1]:5002' -f models.awk upstreams.conf locations.conf
#
# Requests go to hosts of these services alone. What is wrong is said, and the exit status is 1.

function refuse(why) {
	printf "run-nginx: %s:%d: %s: %s\n", FILENAME, FNR, why, substr($0, 1, 80) >"/dev/stderr"
	refused = 1
	exit 1
}

# The line without what stands in front and behind; "" where it has neither.
function between(before, after) {
	if (index($0, before) != 1 || length($0) <= length(before) + length(after) ||
	    substr($0, length($0) - length(after) + 1) != after)
		return ""
	return substr($0, length(before) + 1, length($0) - length(before) - length(after))
}

function is_name(text) { return text ~ /^[A-Za-z0-9][A-Za-z0-9._:-]*$/ }
function is_label(text) { return text ~ /^[a-z0-9._-]+$/ }
function is_number(text) { return text ~ /^[0-9]+$/ }

function is_host_of_ours(target) {
	return match(target, /:[0-9]+$/) && (substr(target, 1, RSTART - 1) in addresses)
}

# A block's first line says what may stand in it, and of which model.
function open_block() {
	file = ""
	if (is_label(between("upstream hl_model_", " {")))
		block = "models"
	else if (is_label(between("upstream hl_start_", " {")))
		block = "services"
	else if (is_name(name = between("location /", "/ {")))
		block = file = "first"
	else if (is_name(name = between("location @wake_", " {")))
		block = file = "again"
	else if (is_name(name = between("location = /_home-lab-services/start/", " {")))
		block = file = "start"
	else if (is_number(between("location ~ ^/_home-lab-services/report/", "/(?<hl_reported>.+)$ {")))
		block = file = "report"
	else
		refuse("the updater begins nothing like this")
}

# What each location begins with: our own part of it.
function is_included() {
	included = $0 == "    include home-lab-services/" file ".conf;"
	file = ""
	return included
}
function is_of_model() {
	return $0 == "    set $hl_model " name ";" || is_label(between("    proxy_pass http://hl_model_", "$hl_model_uri;"))
}
function is_mirror(    words) {
	return split(between("    mirror /_home-lab-services/report/", ";"), words, "/") == 2 && is_number(words[1]) && words[2] == name
}

function belongs() {
	if (file != "")
		return is_included()
	if (block == "models")
		return is_host_of_ours(between("    server ", " max_fails=0;"))
	if (block == "services")
		return between("    server ", " max_fails=0;") in services_of
	if (block == "first")
		return is_of_model() || is_mirror() || $0 == "    error_page 502 503 504 = @wake_" name ";"
	if (block == "again")
		return is_of_model() || $0 == "    auth_request /_home-lab-services/start/" name ";"
	if (block == "start")
		return is_label(between("    proxy_pass http://hl_start_", "/models/" name "/start?wait=ready;"))
	return is_host_of_ours(between("    proxy_pass http://", "/models/$hl_reported/report;"))
}

BEGIN {
	count = split(services, list, " ")
	for (i = 1; i <= count; i++)
		if (match(list[i], /:[0-9]+$/)) { # else nobody knows its address now
			services_of[list[i]] = 1
			addresses[substr(list[i], 1, RSTART - 1)] = 1
		}
}
FNR == 1 && block != "" { refuse("the file before this one ends within a block") }
/[^ -~]/ { refuse("the updater writes no such text") }
/^#/ || /^$/ { next }
block == "" { open_block(); next }
$0 == "}" { block = ""; next }
!belongs() { refuse("the updater writes nothing like this here, or the host is none of INFERENCE_SERVICE_URL") }
END {
	if (!refused && block != "")
		refuse("the file ends within a block")
	exit refused
}
