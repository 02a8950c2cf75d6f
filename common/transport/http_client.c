/* SPDX-License-Identifier: MIT */
#include "http_client.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000L
#define RETRY_AFTER_MAX_SECONDS 3600

struct hl_http_client {
        CURL *curl;
};

int hl_http_client_open(struct hl_http_client **ret_client, struct hl_err *err)
{
        CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
        if (!curl)
                return hl_fail(err, HL_ERR_INTERNAL, ENOMEM, "internal_error", "libcurl cannot be set up");
        *ret_client = hl_alloc(sizeof(**ret_client));
        (*ret_client)->curl = curl;
        return 0;
}

struct hl_http_client *hl_http_client_free(struct hl_http_client *client)
{
        if (client) {
                curl_easy_cleanup(client->curl);
                curl_global_cleanup();
                free(client);
        }
        return NULL;
}

void hl_http_client_cleanup(struct hl_http_client **client)
{
        *client = hl_http_client_free(*client);
}

/* While a request is under way. */
struct exchange {
        CURL *curl;
        const struct hl_http_client_request *request;
        struct hl_http_client_answer *answer;
        bool is_given_up;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
        struct exchange *x = data;
        long status = 0;
        curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
        if (!x->request->take || status < 200 || status > 299)
                return hl_buf_add(&x->answer->body, bytes, size * count) == 0 ? size * count : 0;
        x->is_given_up = x->request->take(x->request->data, bytes, size * count) < 0;
        return x->is_given_up ? 0 : size * count;
}

static int tick(void *data, curl_off_t down, curl_off_t down_now, curl_off_t up, curl_off_t up_now)
{
        struct exchange *x = data;
        (void)down, (void)down_now, (void)up, (void)up_now;
        x->is_given_up = x->request->tick(x->request->data) < 0;
        return x->is_given_up;
}

static struct curl_slist *headers_of(const struct hl_http_client_request *request)
{
        struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
        headers = curl_slist_append(headers, "Expect:"); /* no 100 Continue to wait for */
        if (request->content_type) {
                HL_CLEANUP(hl_free_pointer) char *line = hl_format("Content-Type: %s", request->content_type);
                headers = curl_slist_append(headers, line);
        }
        return headers;
}

static void set_pem(CURL *curl, CURLoption option, const char *pem)
{
        struct curl_blob blob = { .data = (void *)(uintptr_t)pem,
                                  .len = pem ? strlen(pem) : 0,
                                  .flags = CURL_BLOB_COPY };
        if (pem)
                curl_easy_setopt(curl, option, &blob);
}

static void set_tls(CURL *curl, const struct hl_http_client_tls *tls)
{
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (!tls)
                return;
        set_pem(curl, CURLOPT_CAINFO_BLOB, tls->ca);
        set_pem(curl, CURLOPT_SSLCERT_BLOB, tls->certificate);
        set_pem(curl, CURLOPT_SSLKEY_BLOB, tls->key);
}

static void set_options(struct exchange *x, long left_ms)
{
        CURL *curl = x->curl;
        const struct hl_http_client_request *request = x->request;
        curl_easy_setopt(curl, CURLOPT_URL, request->url);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
        if (request->body) {
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
                curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        }
        if (request->token) {
                curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
                curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request->token);
        }
        set_tls(curl, request->tls);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "home-lab-services");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
        if (request->tick) {
                curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
                curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, tick);
                curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
        }
}

static int failed(CURLcode code, const char *url, const char *why, const struct hl_buf *body, struct hl_err *err)
{
        switch (code) {
        case CURLE_COULDNT_CONNECT:
        case CURLE_COULDNT_RESOLVE_HOST:
                return hl_fail(err, HL_ERR_BUSY, ECONNREFUSED, "unreachable", "%s cannot be reached: %s", url, why);
        case CURLE_OPERATION_TIMEDOUT:
                return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "timeout", "%s did not answer in time", url);
        case CURLE_SSL_CONNECT_ERROR:
                return hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "tls_failed",
                               "%s and this program found no common TLS: %s", url, why);
        case CURLE_PEER_FAILED_VERIFICATION:
                return hl_fail(err, HL_ERR_INTERNAL, EACCES, "tls_failed",
                               "%s does not prove who it is (%s): the certificate authority must be its own", url, why);
        case CURLE_WRITE_ERROR:
                return hl_fail(err, HL_ERR_UPSTREAM, EMSGSIZE, "answer_too_large",
                               "%s answered with more than %zu bytes, which are not read", url, body->max);
        case CURLE_URL_MALFORMAT:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_request", "%s: %s", url, why);
        default:
                return hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "bad_answer", "%s gave no whole answer: %s", url, why);
        }
}

static unsigned retry_after(CURL *curl)
{
        curl_off_t seconds = 0;
        curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);
        if (seconds <= 0)
                return 0;
        return seconds < RETRY_AFTER_MAX_SECONDS ? (unsigned)seconds : RETRY_AFTER_MAX_SECONDS;
}

/* A connection that broke off before TLS was agreed on is none: a server that ends or starts does that. */
static bool is_broken(CURL *curl, CURLcode code)
{
        long errnum = 0;
        curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &errnum);
        return code == CURLE_SSL_CONNECT_ERROR && errnum != 0;
}

int hl_http_client_ask(struct hl_http_client *client, const struct hl_http_client_request *request,
                       struct hl_http_client_answer *answer, struct hl_err *err)
{
        CURL *curl = client->curl;
        uint64_t now = hl_clock_monotonic();
        hl_buf_free(&answer->body);
        if (request->deadline_us < now + HL_USEC_PER_MSEC) /* 0 would be: no limit */
                return failed(CURLE_OPERATION_TIMEDOUT, request->url, "", &answer->body, err);

        char why[CURL_ERROR_SIZE] = "";
        struct curl_slist *headers = headers_of(request);
        struct exchange x = { .curl = curl, .request = request, .answer = answer };
        set_options(&x, (long)((request->deadline_us - now) / HL_USEC_PER_MSEC));
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
        CURLcode code = curl_easy_perform(curl);
        if (is_broken(curl, code))
                code = CURLE_COULDNT_CONNECT;
        if (code == CURLE_OK) {
                long status = 0;
                char *address = NULL;
                curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
                curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &address);
                answer->status = (int)status;
                answer->retry_after_seconds = retry_after(curl);
                hl_copy(answer->address, sizeof(answer->address), address ? address : "");
        }
        curl_easy_reset(curl); /* the options; its connections stay */
        curl_slist_free_all(headers);
        hl_make_printable(why);
        if (x.is_given_up)
                return hl_fail(err, HL_ERR_CANCELLED, ECANCELED, "given_up", "%s was not waited for", request->url);
        return code == CURLE_OK ? 0
                                : failed(code, request->url, *why ? why : curl_easy_strerror(code), &answer->body, err);
}
