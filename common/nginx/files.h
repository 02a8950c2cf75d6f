/* SPDX-License-Identifier: MIT */
/* files.h - NGINX's own configuration, directive by directive, as NGINX reads it.
 *
 * Shape    a walk from nginx.conf through every include that is in force. Nothing is understood but the grammar: words,
 *          quotes, comments, blocks. Anybody may do it: Debian's /etc/nginx is readable by all.
 * Errors   hl_nginx_files_walk(): -errno of the first file. What an include leads to and cannot be read is passed over:
 *          NGINX itself says what is wrong with its files (`nginx -t`).
 * Owner    a directive and its words are valid during the call.
 * Source   ngx_conf_file.c's reader; "include" in http://nginx.org/en/docs/ngx_core_module.html.
 * Tests    tests/unit/nginx/test_files.c
 */
#ifndef HL_NGINX_FILES_H
#define HL_NGINX_FILES_H

#include <stdbool.h>
#include <stddef.h>

#define HL_NGINX_PROGRAM "/usr/sbin/nginx"
#define HL_NGINX_CONF "/etc/nginx/nginx.conf"

#define HL_NGINX_WORDS_MAX 16 /* of a directive; further ones are not looked at */

struct hl_nginx_directive {
        const char *file;
        unsigned line; /* of its end */
        const char *words[HL_NGINX_WORDS_MAX];
        size_t count; /* 0: the end of a block */
        bool block;   /* a "{" follows */
};

typedef void hl_nginx_directive_fn(void *data, const struct hl_nginx_directive *directive);

/* An include itself is told too, before what it leads to. */
int hl_nginx_files_walk(const char *path, hl_nginx_directive_fn *each, void *data);

#endif
