/* SPDX-License-Identifier: MIT */
/* nginx-config-updater --kubernetes: its options, and one run or one after the other. */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "publish.h"
#include "transport/http_client.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MIN_US HL_USEC_PER_SEC
#define INTERVAL_MAX_US (24 * 60 * HL_USEC_PER_MINUTE)
#define BACKOFF_MAX_US (5 * HL_USEC_PER_MINUTE)
#define JITTER_PERCENT 10

/* After failures twice as long each time, up to a ceiling, and as long as the server asked. */
static uint64_t pause_us(uint64_t interval_us, unsigned wait_seconds, unsigned failures)
{
        uint64_t ceiling = interval_us > BACKOFF_MAX_US ? interval_us : BACKOFF_MAX_US;
        uint64_t pause = interval_us;
        while (failures-- > 0 && pause < ceiling)
                pause *= 2;
        if (pause > ceiling)
                pause = ceiling;
        uint64_t asked = wait_seconds * HL_USEC_PER_SEC;
        if (pause < asked)
                pause = asked;
        uint32_t random = 0;
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
                random = 0;
        return pause + pause * JITTER_PERCENT / 100 * (random % 1000) / 1000;
}

static _Noreturn void run_for_ever(struct hl_publish *publish, uint64_t interval_us)
{
        for (unsigned failures = 0;;) {
                failures = hl_publish(publish) == EX_OK ? 0 : failures + 1;
                struct timespec left = hl_timespec_of(pause_us(interval_us, publish->wait_seconds, failures));
                while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
                        ;
        }
}

/* At any time: nothing is kept in memory, and an apply happens as a whole or not at all. Without a handler the first
 * process of a container would not hear the signal. */
static void end(int signal_number)
{
        (void)signal_number;
        _exit(EXIT_SUCCESS);
}

static int usage(FILE *to, int status)
{
        fputs("Usage: nginx-config-updater --kubernetes [OPTION…]\n"
              "\n"
              "Asks inference services for their models and applies NGINX's configuration for them to a ConfigMap.\n"
              "\n"
              "  --once               one run (the default)\n"
              "  --interval SPAN      a run every SPAN, such as 30s; rarer while it fails\n"
              "  --force              takes our keys over from whoever else has written them\n"
              "  --kubeconfig FILE    the API server; default: in a pod its own, else $KUBECONFIG or ~/.kube/config\n"
              "  --namespace NAME     default: inference-manager\n"
              "  --configmap NAME     default: nginx-config-map\n"
              "  --health-file FILE   \"ok\" or \"failing: why\", written at the end of each run\n"
              "\n"
              "INFERENCE_SERVICE_URL         http://192.168.1.10:5002,http://gpu-box:5002\n"
              "INFERENCE_SERVICE_TOKEN_FILE  a file with the token for them (scope read)\n"
              "\n"
              "Ends with 0, or 64: wrong usage, 65: another manager's conflict, 66: no such ConfigMap,\n"
              "69: somebody does not answer, 70: TLS, or a file that cannot be read, 77: not allowed,\n"
              "78: the configuration is wrong.\n",
              to);
        return status;
}

/* As Kubernetes names things: what goes into a URL. */
static bool is_name(const char *text)
{
        size_t len = strlen(text);
        return len > 0 && len < 254 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len && *text != '.';
}

int hl_kubernetes_main(int argc, char **argv)
{
        static const struct option options[] = {
                { "once", no_argument, NULL, 'o' },
                { "interval", required_argument, NULL, 'i' },
                { "force", no_argument, NULL, 'f' },
                { "kubeconfig", required_argument, NULL, 'k' },
                { "namespace", required_argument, NULL, 'n' },
                { "configmap", required_argument, NULL, 'c' },
                { "health-file", required_argument, NULL, 'H' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        struct hl_publish publish = { .namespace = "inference-manager", .configmap = "nginx-config-map" };
        uint64_t interval_us = 0;
        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
                if (option == 'h')
                        return usage(stdout, EX_OK);
                else if (option == 'o')
                        interval_us = 0;
                else if (option == 'f')
                        publish.force = true;
                else if (option == 'k')
                        publish.kubeconfig = optarg;
                else if (option == 'n' && is_name(optarg))
                        publish.namespace = optarg;
                else if (option == 'c' && is_name(optarg))
                        publish.configmap = optarg;
                else if (option == 'H')
                        publish.health_file = optarg;
                else if (option != 'i' || hl_parse_timespan(optarg, &interval_us) < 0 ||
                         interval_us < INTERVAL_MIN_US || interval_us > INTERVAL_MAX_US)
                        return usage(stderr, EX_USAGE);
        }
        if (optind < argc)
                return usage(stderr, EX_USAGE);

        signal(SIGTERM, end);
        signal(SIGINT, end);
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_http_client_cleanup) struct hl_http_client *client = NULL;
        if (hl_http_client_open(&client, &err) < 0) {
                fprintf(stderr, "nginx-config-updater: %s\n", err.message);
                return EX_SOFTWARE;
        }
        publish.client = client;
        if (interval_us)
                run_for_ever(&publish, interval_us);
        int status = hl_publish(&publish);
        hl_buf_free(&publish.before);
        return status;
}
