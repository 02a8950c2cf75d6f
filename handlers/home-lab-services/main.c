/* SPDX-License-Identifier: MIT */
/* home-lab-services - what people, and the coordinator unit, run: models by name, why, check, status, token. */
#include "base/mem.h"
#include "base/version.h"
#include "config/config.h"
#include "home-lab-services/check/check.h"
#include "home-lab-services/cli/cli.h"
#include "home-lab-services/cli/nearest.h"
#include "status.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
        "Usage: home-lab-services COMMAND\n"
        "\n"
        "  list                           all models: state, port, since when, unused for how long, in flight\n"
        "  start NAME                     starts a model and waits until it is ready\n"
        "  stop NAME [--drain SECONDS]    stops it; --drain lets requests in flight finish first\n"
        "  restart NAME                   stops and starts it, and waits until it is ready\n"
        "  keep NAME [--for TIME]         keeps it from being stopped for being idle, for 4h; --for 0 ends that\n"
        "  logs NAME [-f] [-n LINES]      what it logged, 200 lines if nothing else is said; -f goes on\n"
        "  why NAME                       what it does and why, and when it is stopped\n"
        "\n"
        "  status                         what runs, what is scheduled, what is idle\n"
        "  check                          is everything set up as it must be? All errors at once\n"
        "  token add NAME --scope SCOPE   a new token for requests from other machines; shown once\n"
        "  token list                     the names, scopes and dates of the tokens\n"
        "  token revoke NAME              the token stops working at once\n"
        "\n"
        "SCOPE is read (look), use (ask models), control (both, and start and stop models) or power (also shut down).\n"
        "\n"
        "  --json         list, start, stop, restart, keep, logs, why: the service's answer as it comes\n"
        "  --no-wait      start, stop, restart: does not wait for what was begun\n"
        "  --host HOST    the first seven on another machine: its name or address (ports 5002 and 5003), or its NGINX\n"
        "                 (http://box:8080). HOME_LAB_SERVICES_URL says it for all commands, and\n"
        "                 HOME_LAB_SERVICES_TOKEN holds the token for it\n"
        "  --version, --help\n"
        "\n"
        "They end with 0, or 64: the command line is wrong, 65: it conflicts with what is there (a port or a token's "
        "name\n"
        "is taken, there is no such token), 66: there is no such model, 69: the service cannot be reached, 70: the "
        "model\n"
        "failed, 74: the output could not be written, 75: not now, or not in time, 76: what answers is not the "
        "service,\n"
        "77: not allowed, 78: the configuration or the installation is wrong, 130: Ctrl-C while it waited.\n"
        "\n"
        "check ends with 0, or 78: the configuration or the tokens, 77: permissions or polkit,\n"
        "75: a port is in use, 69: no bus, 65: only model files, or NGINX, are wrong.\n";

static int check(const struct cli *cli)
{
        (void)cli;
        return hl_check();
}

static int status(const struct cli *cli)
{
        (void)cli;
        return hl_status();
}

/* What a command may have beside its words. */
enum { JSON = 1, FOLLOW = 2, NO_WAIT = 4, DRAIN = 8, HOST = 16, SCOPE = 32, FOR = 64 };

static const struct command {
        const char *name;
        int min, max; /* words */
        unsigned options;
        int (*run)(const struct cli *cli);
        const char *takes;
} commands[] = {
        { "list", 0, 0, JSON | HOST, cli_list, "no names" },
        { "start", 1, 1, JSON | NO_WAIT | HOST, cli_start, "one model's NAME" },
        { "stop", 1, 1, JSON | NO_WAIT | DRAIN | HOST, cli_stop, "one model's NAME" },
        { "restart", 1, 1, JSON | NO_WAIT | HOST, cli_restart, "one model's NAME" },
        { "keep", 1, 1, JSON | FOR | HOST, cli_keep, "one model's NAME; --for 2h says how long" },
        { "logs", 1, 1, JSON | FOLLOW | HOST, cli_logs, "one model's NAME" },
        { "why", 1, 1, JSON | HOST, cli_why, "one model's NAME" },
        { "status", 0, 0, 0, status, "no names" },
        { "check", 0, 0, 0, check, "no names" },
        { "token", 1, 2, SCOPE, cli_token, "add NAME --scope SCOPE, list, or revoke NAME" },
};

/* What is wrong, and where all is said. */
static int wrong_usage(const struct hl_err *err)
{
        int r = cli_finish(err);
        fputs("Usage: home-lab-services --help lists the commands\n", stderr);
        return r;
}

static const struct command *find_command(const char *word, struct hl_err *err)
{
        const char *names[HL_COUNT(commands)];
        for (size_t i = 0; i < HL_COUNT(commands); i++) {
                names[i] = commands[i].name;
                if (strcmp(word, names[i]) == 0)
                        return &commands[i];
        }
        const char *meant = hl_nearest(word, names, HL_COUNT(names));
        if (meant)
                hl_fail(err, HL_ERR_INVALID, EINVAL, "unknown_command",
                        "there is no command \"%.40s\"; did you mean \"%s\"?", word, meant);
        else
                hl_fail(err, HL_ERR_INVALID, EINVAL, "unknown_command", "there is no command \"%.40s\"", word);
        return NULL;
}

static const struct option long_options[] = {
        { "json", no_argument, NULL, 'j' },        { "no-wait", no_argument, NULL, 'w' },
        { "follow", no_argument, NULL, 'f' },      { "lines", required_argument, NULL, 'n' },
        { "drain", required_argument, NULL, 'd' }, { "host", required_argument, NULL, 'H' },
        { "scope", required_argument, NULL, 's' }, { "for", required_argument, NULL, 'F' },
        { "help", no_argument, NULL, 'h' },        { 0 },
};

/* One option; *options: of the command line so far. */
static void take_option(int option, struct cli *cli, unsigned *options)
{
        switch (option) {
        case 'j':
                cli->is_json = true;
                *options |= JSON;
                break;
        case 'w':
                cli->is_not_waited_for = true;
                *options |= NO_WAIT;
                break;
        case 'f':
                cli->is_followed = true;
                *options |= FOLLOW;
                break;
        case 'n':
                cli->lines = optarg;
                *options |= FOLLOW;
                break;
        case 'd':
                cli->drain = optarg;
                *options |= DRAIN;
                break;
        case 'H':
                cli->host = optarg;
                *options |= HOST;
                break;
        case 'F':
                cli->span = optarg;
                *options |= FOR;
                break;
        default:
                cli->scope = optarg;
                *options |= SCOPE;
        }
}

/* 1: help is wanted; -EINVAL: what is wrong is said in err. */
static int read_options(int argc, char **argv, struct cli *ret_cli, unsigned *ret_options, struct hl_err *err)
{
        opterr = 0;
        for (int option; (option = getopt_long(argc, argv, ":fn:h", long_options, NULL)) >= 0;) {
                if (option == 'h')
                        return 1;
                if (option == ':')
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_option", "%.40s needs a value behind it",
                                       argv[optind - 1]);
                if (option == '?')
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_option", "there is no option \"%.40s\"",
                                       optopt ? (char[]){ '-', (char)optopt, '\0' } : argv[optind - 1]);
                take_option(option, ret_cli, ret_options);
        }
        return 0;
}

static int check_words(const struct command *command, unsigned options, const struct cli *cli, struct hl_err *err)
{
        static const char *const names[] = {
                "--json", "-f and -n", "--no-wait", "--drain", "--host", "--scope", "--for"
        };
        if (cli->word_count < command->min || cli->word_count > command->max)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_usage", "%s takes %s", command->name,
                               command->takes);
        for (size_t i = 0; i < HL_COUNT(names); i++)
                if (options & ~command->options & 1U << i)
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_option", "%s does not take %s",
                                       command->name, names[i]);
        return 0;
}

/* A pipe whose reader has had enough is no error; a full disk is. */
static int end_output(int status)
{
        bool is_lost = fflush(stdout) == EOF || ferror(stdout);
        if (!is_lost || cli_output_is_gone())
                return status;
        fputs("error: the output could not be written\n", stderr);
        return status == EX_OK ? EX_IOERR : status;
}

int main(int argc, char **argv)
{
        struct cli cli = { 0 };
        struct hl_err err = { 0 };
        unsigned options = 0;
        if (hl_version_asked(argc, argv))
                return end_output(EX_OK);
        signal(SIGPIPE, SIG_IGN);
        int r = read_options(argc, argv, &cli, &options, &err);
        if (r < 0)
                return wrong_usage(&err);
        if (r > 0 || (optind < argc && strcmp(argv[optind], "help") == 0)) {
                fputs(usage, stdout);
                return end_output(EX_OK);
        }
        if (optind == argc) {
                fputs(usage, stderr);
                return EX_USAGE;
        }
        const struct command *command = find_command(argv[optind], &err);
        cli.words = argv + optind + 1;
        cli.word_count = argc - optind - 1;
        if (!command || check_words(command, options, &cli, &err) < 0)
                return wrong_usage(&err);
        hl_config_adopt_environment();
        return end_output(command->run(&cli));
}
