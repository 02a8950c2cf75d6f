# shellcheck shell=bash disable=SC2034 # of those who source it
# SPDX-License-Identifier: MIT
# The services, by whom templates/ become units. Each is a .service, its .socket, -fastcgi.socket and -stop.target,
# @.service for the port's connections, and -lan@.socket with its service for other machines.
readonly services=(shutdown-service inference-service model-monitor-service)
declare -Ar port_of=([shutdown-service]=5001 [inference-service]=5002 [model-monitor-service]=5003)
# Who may switch off the host is no user who may do anything else.
declare -Ar user_of=([shutdown-service]=home-lab-power [inference-service]=home-lab-services
	[model-monitor-service]=home-lab-services)
# Seconds that one request takes at most: who waits for a model to start, or follows events, may do so for an hour.
declare -Ar longest_of=([shutdown-service]=60 [inference-service]=3800 [model-monitor-service]=3800)
