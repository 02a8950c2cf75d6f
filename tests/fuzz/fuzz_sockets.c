/* SPDX-License-Identifier: MIT */
/* What the kernel answers about sockets. "R": datagrams as they come, each behind its length; else sockets of which
 * each is told in nine bytes, in well-formed messages that may end too early. */
#include "fuzz.h"

#include "base/err.h"
#include "base/mem.h"
#include "kernel/sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/socket.h>

#define PORTS 4 /* from 8000 on */

static struct fuzz_input input;
static bool raw;
static unsigned told[PORTS + 1]; /* sockets of each port; the last: of any other */

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
        (void)fd;
        (void)bytes;
        (void)flags;
        return (ssize_t)size;
}

static size_t put_done(struct nlmsghdr *header)
{
        *header = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_DONE };
        return NLMSG_HDRLEN;
}

static void put_attribute(char *message, uint32_t *len, uint16_t type, const void *value, size_t size)
{
        struct rtattr attribute = { .rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(size) };
        memcpy(message + *len, &attribute, sizeof(attribute));
        memcpy(message + *len + RTA_LENGTH(0), value, size);
        *len += (uint32_t)RTA_SPACE(size);
}

static size_t put_socket(char *at)
{
        struct nlmsghdr *header = (void *)at;
        struct inet_diag_msg *socket = NLMSG_DATA(header);
        struct tcp_info info = { 0 };
        uint8_t kind = fuzz_byte(&input), port = fuzz_byte(&input), ages = fuzz_byte(&input);
        uint32_t len = NLMSG_LENGTH(sizeof(*socket));
        uint64_t cgroup = fuzz_byte(&input);
        memset(at, 0, len);
        socket->idiag_family = kind & 1 ? AF_INET6 : AF_INET;
        socket->idiag_state = fuzz_byte(&input);
        socket->id.idiag_sport = htons((uint16_t)(8000 + port));
        socket->id.idiag_dst[kind & 1 ? 3 : 0] = htonl(kind & 2 ? HL_SOCKETS_NGINX_SOURCE : INADDR_LOOPBACK);
        socket->idiag_rqueue = fuzz_byte(&input);
        socket->idiag_wqueue = fuzz_byte(&input);
        info.tcpi_bytes_received = ages & 3;
        info.tcpi_bytes_sent = ages >> 2 & 3;
        info.tcpi_last_data_recv = fuzz_byte(&input) * 100;
        info.tcpi_last_data_sent = fuzz_byte(&input) * 100;
        put_attribute(at, &len, INET_DIAG_INFO, &info, kind & 4 ? sizeof(info) : 40);
        put_attribute(at, &len, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
        *header = (struct nlmsghdr){ .nlmsg_len = len, .nlmsg_type = 20, .nlmsg_flags = NLM_F_MULTI };
        told[port < PORTS ? port : PORTS]++;
        return len;
}

static size_t put_datagram(void *bytes, size_t size)
{
        if (input.left == 0)
                return put_done(bytes);
        if (!raw)
                return put_socket(bytes);
        size_t len = (size_t)fuzz_byte(&input) << 8;
        len |= fuzz_byte(&input);
        len = len < input.left ? len : input.left;
        len = len < size ? len : size;
        memcpy(bytes, input.data, len);
        input.data += len;
        input.left -= len;
        return len;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
        (void)fd;
        (void)flags;
        ASAN_UNPOISON_MEMORY_REGION(bytes, size);
        size_t len = put_datagram(bytes, size);
        ASAN_POISON_MEMORY_REGION((char *)bytes + len, size - len); /* what was not received is not read */
        return (ssize_t)len;
}

static void begin(const uint8_t *data, size_t size)
{
        input = (struct fuzz_input){ data, size };
        memset(told, 0, sizeof(told));
        raw = fuzz_byte(&input) == 'R';
}

static void check(const struct hl_traffic *t)
{
        fuzz_must(t->in_flight <= t->connections && t->direct <= t->in_flight && t->moving <= t->connections);
        fuzz_must(t->half_closed <= t->connections - t->direct);
}

static void check_listener(void *data, const struct hl_listener *listener)
{
        (void)data;
        fuzz_must(hl_listener_takes_loopback(listener) <= 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint16_t ports[PORTS] = { 8000, 8001, 8002, 8003 };
        struct hl_traffic traffic[PORTS] = { 0 }, unit = { 0 };
        struct hl_listener listener;
        struct hl_err err = { 0 };
        uint16_t port;
        begin(data, size);
        int r = hl_sockets_read(ports, PORTS, traffic, &err);
        for (size_t i = 0; r == 0 && i < PORTS; i++) {
                check(&traffic[i]);
                fuzz_must(raw || traffic[i].connections == told[i]);
        }
        fuzz_must(r == 0 || (raw && err.kind == HL_ERR_INTERNAL));
        begin(data, size);
        if (hl_sockets_read_unit(8000, 1, &unit, &port, &err) >= 0)
                check(&unit);
        begin(data, size);
        hl_sockets_listeners(8000, check_listener, NULL, &err);
        begin(data, size);
        hl_sockets_listener(8000, &listener, &err);
        begin(data, size);
        hl_sockets_listens(8000, 1, &err);
        return 0;
}
